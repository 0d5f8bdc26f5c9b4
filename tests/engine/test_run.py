# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole jobs on the demo backbone: what must hold whatever the edit."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from engine.editing import machine
from engine.editing import run as run_module
from engine.errors import (
    BackboneError,
    CancelledError,
    MaskError,
    MediaError,
    OutOfMemoryError,
    StorageError,
)
from engine.guidance.dds import DeltaDenoising
from engine.media import Mask
from engine.reporter import Reporter
from tests.engine.clips import QUICK, as_images, frames_of, movie_job, run


class Recorder(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.stages, self.warnings, self.steps = [], [], []

    def stage(self, name):
        self.stages.append(name)

    def progress(self, done, total):
        self.steps.append((self.stages[-1], done, total))

    def warning(self, message, *, hint=""):
        self.warnings.append(message)


class CancelAt(Recorder):
    """Cancels after a number of optimisation steps."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def check_cancelled(self):
        if ("editing", self.step, QUICK.steps) in [(s, d, QUICK.steps) for s, d, _ in self.steps]:
            raise CancelledError("Cancelled.")


def test_an_edit_changes_pixels_inside_the_mask_only(tmp_path):
    job, clip = movie_job(tmp_path / "in")
    frames, result = run(job, tmp_path / "job")
    outside = clip.alpha < 0.5 / 255
    assert np.array_equal(frames[outside], clip.frames[outside])
    assert not np.array_equal(frames[clip.alpha > 0.9], clip.frames[clip.alpha > 0.9])
    assert len(result["gradient_norms"]) == result["steps"] == QUICK.steps
    assert all(norm > 0 for norm in result["gradient_norms"])


def test_a_mask_that_limits_nothing_is_remarked_on(tmp_path):
    job, clip = movie_job(tmp_path / "in")
    height, width = clip.frames[0].shape[:2]
    recorder = Recorder()
    run(replace(job, mask=Mask(box=(0, 0, width, height))), tmp_path / "all", recorder)
    assert any("100.00% of the picture" in text for text in recorder.warnings)
    recorder = Recorder()
    run(job, tmp_path / "some", recorder)
    assert not any("of the picture" in text for text in recorder.warnings)


def test_a_smaller_working_area_keeps_the_size_of_the_frames(tmp_path):
    job, clip = movie_job(tmp_path / "in")
    frames, result = run(replace(job, area_scale=0.25), tmp_path / "job")
    whole = clip.frames[0].shape[0] * clip.frames[0].shape[1]
    assert result["working_width"] * result["working_height"] <= whole / 3
    assert frames.shape == clip.frames.shape


def test_equal_prompts_give_the_source_bit_for_bit_with_gradients_of_zero(tmp_path):
    job, clip = movie_job(tmp_path / "in", frames=11, masked=False)
    settings = replace(QUICK, steps=3, use_stopping_rule=True, probe_interval=1)
    job = replace(job, target_prompt=job.source_prompt, settings=settings)
    frames, result = run(job, tmp_path / "job")
    assert result["gradient_norms"] == [0.0, 0.0, 0.0]
    assert np.array_equal(frames, clip.frames)


def test_the_same_job_gives_the_same_pixels(tmp_path):
    job, _ = movie_job(tmp_path / "in")
    first, _ = run(job, tmp_path / "one")
    second, _ = run(job, tmp_path / "two")
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("frames", "width", "height"), [(3, 853, 477), (1, 64, 64), (37, 64, 64), (160, 48, 32)]
)
def test_any_size_and_length_comes_back_as_it_went_in(tmp_path, frames, width, height):
    job, clip = movie_job(tmp_path / "in", frames=frames, width=width, height=height)
    if frames > 30:
        job = replace(job, settings=replace(QUICK, steps=1))
    edited, result = run(job, tmp_path / "job")
    assert edited.shape == (frames, height, width, 3)
    assert (result["frame_count"], result["width"], result["height"]) == (frames, width, height)
    outside = clip.alpha < 0.5 / 255
    assert np.array_equal(edited[outside], clip.frames[outside])


def test_an_ntsc_clip_keeps_its_rate_in_the_movies(tmp_path):
    from engine.video.frames import probe_movie

    job, _ = movie_job(tmp_path / "in", frames=5, fps=Fraction(30000, 1001))
    job = replace(job, movie=True, lossless_movie=True)
    frames, _ = run(job, tmp_path / "job")
    for name in ("edited.mp4", "edited.mkv"):
        info = probe_movie(tmp_path / "job" / name)
        assert info.fps == Fraction(30000, 1001)
        assert info.frame_count == len(frames) == 5


def test_spaces_and_other_alphabets_in_paths_are_no_obstacle(tmp_path):
    job, clip = movie_job(tmp_path / "Фильм 動画 è")
    job = as_images(job, tmp_path / "une séquence", clip.frames)
    frames, _ = run(job, tmp_path / "résultat ü")
    assert frames.shape == clip.frames.shape
    assert (tmp_path / "résultat ü" / "compare.png").is_file()


def test_alpha_passes_through(tmp_path):
    job, clip = movie_job(tmp_path / "in", frames=2)
    alpha = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), dtype=np.uint8)
    job = as_images(job, tmp_path / "rgba", np.concatenate([clip.frames, alpha], axis=3))
    job = replace(job, mask=None)
    frames, _ = run(job, tmp_path / "job")
    assert np.array_equal(frames[..., 3:], alpha)


def test_a_cancelled_job_resumes_from_its_checkpoint_with_the_same_pixels(tmp_path):
    job, _ = movie_job(tmp_path / "in")
    job = replace(job, settings=replace(QUICK, steps=4))
    undisturbed, whole = run(job, tmp_path / "one")
    with pytest.raises(CancelledError):
        run(job, tmp_path / "two", CancelAt(2))
    assert not (tmp_path / "two" / "result.json").exists()
    recorder = Recorder()
    resumed, result = run(job, tmp_path / "two", recorder)
    assert ("editing", 2, 4) in recorder.steps
    assert ("editing", 1, 4) not in recorder.steps
    assert np.array_equal(resumed, undisturbed)
    assert result["gradient_norms"] == whole["gradient_norms"]
    assert not (tmp_path / "two" / "checkpoint.safetensors").exists()


def test_stages_come_in_order_and_progress_reaches_its_total(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=3)
    recorder = Recorder()
    run(job, tmp_path / "job", recorder)
    assert recorder.stages == ["loading", "encoding", "editing", "decoding", "writing"]
    for stage, total in (("encoding", 3), ("editing", QUICK.steps), ("decoding", 3)):
        assert (stage, total, total) in recorder.steps


def test_a_mask_with_fewer_frames_is_held_with_a_warning_and_recorded(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=4)
    media = replace(job.mask.media, frames=(0, 1))
    recorder = Recorder()
    _, result = run(replace(job, mask=Mask(media=media)), tmp_path / "job", recorder)
    assert len(recorder.warnings) == 1
    assert result["warnings"][0]["message"] == recorder.warnings[0]


def test_an_empty_mask_is_refused(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=2)
    job = replace(job, mask=Mask(box=(0, 0, 64, 64), invert=True))
    with pytest.raises(MaskError, match="covers nothing"):
        run(job, tmp_path / "job")


def test_a_mask_too_dim_to_free_anything_is_refused(tmp_path):
    job, clip = movie_job(tmp_path / "in", frames=2)
    dim = as_images(job, tmp_path / "dim", np.full_like(clip.frames, 20)).source
    with pytest.raises(MaskError, match="frees nothing"):
        run(replace(job, mask=Mask(media=dim)), tmp_path / "job")


def test_a_prompt_longer_than_the_backbone_reads_gets_a_warning(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=2)
    recorder = Recorder()
    run(replace(job, target_prompt="a blue ball " * 20), tmp_path / "job", recorder)
    assert "tokens" in recorder.warnings[0]


def test_an_edit_that_hardly_moved_is_said_to_be_incomplete(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=3)
    settings = replace(QUICK, steps=1, step_size=0.001, use_stopping_rule=True)
    recorder = Recorder()
    _, result = run(replace(job, settings=settings), tmp_path / "job", recorder)
    assert 0 <= result["progress"] < 0.1
    assert "only 0% of the way" in recorder.warnings[0]
    same = replace(job, settings=settings, target_prompt=job.source_prompt)
    recorder = Recorder()
    run(same, tmp_path / "same", recorder)
    assert recorder.warnings == []


def test_a_missing_clip_is_refused(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=2)
    (tmp_path / "in" / "clip.mkv").unlink()
    with pytest.raises(MediaError, match=r"clip\.mkv"):
        run(job, tmp_path / "job")


def test_an_unknown_backbone_is_refused(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=2)
    with pytest.raises(BackboneError, match="no backbone 'zeroscop'"):
        run(replace(job, backbone="zeroscop"), tmp_path / "job")


def test_out_of_memory_is_tried_once_smaller_and_then_explained(tmp_path, monkeypatch):
    job, _ = movie_job(tmp_path / "in", frames=2)
    original = DeltaDenoising.score
    sizes = []

    def too_large(guidance, step, reference):
        sizes.append(step.z_source.shape[-1])
        if step.z_source.shape[-1] > limit:
            raise torch.OutOfMemoryError("tried to allocate 3.00 GiB")
        return original(guidance, step, reference)

    monkeypatch.setattr(DeltaDenoising, "score", too_large)
    limit = 12
    recorder = Recorder()
    _, result = run(job, tmp_path / "smaller", recorder)
    assert result["working_width"] < 64
    assert "did not fit" in recorder.warnings[0]
    limit = 0
    with pytest.raises(OutOfMemoryError, match=r"3\.00 GiB"):
        run(job, tmp_path / "never")
    assert sizes[0] > sizes[-1]


@pytest.mark.parametrize("said", ["", "Unable to allocate 3.00 GiB"])
def test_what_is_free_is_said_when_memory_runs_out_on_the_processor(said, monkeypatch):
    monkeypatch.setattr(machine, "_memory", lambda: (16 * 2**30, 3 * 2**29))
    message = machine.out_of_memory(torch.device("cpu"), MemoryError(said)).message
    assert "memory of cpu, of whose 16.0 GiB 1.5 are free: " in message
    assert message.endswith(said or "no more could be had")
    monkeypatch.setattr(machine, "_memory", lambda: (0, 0))
    message = machine.out_of_memory(torch.device("cpu"), MemoryError()).message
    assert message == "The edit does not fit into the memory of cpu: no more could be had"


def test_a_full_disk_loses_neither_the_checkpoint_nor_the_source(tmp_path, monkeypatch):
    job, clip = movie_job(tmp_path / "in", frames=3)
    original = run_module.write_result_frames

    def full(*arguments):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(run_module, "write_result_frames", full)
    with pytest.raises(StorageError):
        run(job, tmp_path / "job")
    assert (tmp_path / "job" / "checkpoint.safetensors").exists()
    monkeypatch.setattr(run_module, "write_result_frames", original)
    recorder = Recorder()
    frames, _ = run(job, tmp_path / "job", recorder)
    assert [s for s in recorder.steps if s[0] == "editing"] == [
        ("editing", QUICK.steps, QUICK.steps)
    ]
    assert frames.shape == clip.frames.shape


def test_result_json_tells_what_made_it(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=2)
    _, result = run(job, tmp_path / "job")
    assert result["job"] == json.loads((tmp_path / "job" / "job.json").read_text(encoding="utf-8"))
    assert result["machine"]["threads"] == 1
    assert result["machine"]["torch"].startswith("2.13.0")
    assert len(frames_of(tmp_path / "job")) == 2
