# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to a job: complete, absolute, or refused with what to do."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import request
from engine.editing.prepare import make_job
from engine.errors import BackboneError, InvalidJobError, MaskError, MediaError
from engine.job import parse_job
from engine.presets import at_preset
from engine.registry import find_backbone
from engine.request import MOST_THREADS, EditRequest, default_threads
from engine.schema import dumps
from engine.video.writing import MovieWriter


def write_movie(path, count=10, width=64, height=48, value=90):
    with MovieWriter(path, Fraction(30000, 1001), width, height, "ffv1") as writer:
        for index in range(count):
            writer.write(np.full((height, width, 3), value + index, np.uint8))
    return path


def write_images(folder, count, width=64, height=48):
    folder.mkdir()
    for index in range(count):
        Image.new("RGB", (width, height), (200, 200, 200)).save(folder / f"{index + 1}.png")
    return folder


@pytest.fixture
def clip(tmp_path):
    return write_movie(tmp_path / "a clip ü.mkv")


def job_of(clip, **values):
    return make_job(EditRequest(clip=clip, source_prompt="red", target_prompt="blue", **values))


def test_a_movie_becomes_a_complete_job(clip):
    job = job_of(clip)
    assert job.source.kind == "movie"
    assert job.source.path == str(clip)
    assert job.source.frames == tuple(range(10))
    assert job.fps == (30000, 1001)
    assert job.mask is None
    assert job.settings == find_backbone("demo").recommended("dds")
    assert job.backbone == "demo"
    assert parse_job(dumps(job)) == job


def test_an_image_folder_becomes_a_job_in_natural_order(tmp_path):
    job = job_of(write_images(tmp_path / "shots", 11))
    assert job.source.kind == "images"
    assert job.source.files[:3] == ("1.png", "2.png", "3.png")
    assert job.source.files[-1] == "11.png"
    assert job.fps == (24, 1)


def test_a_single_picture_is_a_clip_of_one_frame(tmp_path):
    folder = write_images(tmp_path / "shots", 2)
    assert job_of(folder / "2.png").source.files == ("2.png",)


def test_a_relative_path_becomes_absolute(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    assert job_of(Path(clip.name)).source.path == str(clip)


def test_a_range_counts_from_one_and_includes_its_last_frame(clip):
    assert job_of(clip, frames=(3, 5)).source.frames == (2, 3, 4)
    assert job_of(clip, frames=(10, 10)).source.frames == (9,)


@pytest.mark.parametrize("frames", [(0, 3), (5, 4), (-2, -1)])
def test_an_empty_range_is_refused(clip, frames):
    with pytest.raises(InvalidJobError, match="no frame"):
        job_of(clip, frames=frames)


def test_a_range_beyond_the_end_says_both_numbers(clip):
    with pytest.raises(MediaError, match=r"1-120 is asked for.*10 frames") as caught:
        job_of(clip, frames=(1, 120))
    assert "1-10" in caught.value.hint


def test_settings_replace_the_recommendation(clip):
    job = job_of(clip, settings={"steps": 7, "guidance_scale": 3})
    assert (job.settings.steps, job.settings.guidance_scale) == (7, 3)
    recommended = find_backbone("demo").recommended("dds")
    assert job.settings.step_size == recommended.step_size


def test_a_preset_changes_the_recommendation_and_options_win_over_it(clip):
    recommended = find_backbone("demo").recommended("dds")
    draft = job_of(clip, preset="draft").settings
    assert draft == at_preset(recommended, "draft")
    assert draft.steps < recommended.steps
    assert job_of(clip, preset="draft", settings={"steps": 7}).settings == replace(draft, steps=7)


def test_an_unknown_preset_is_refused(clip):
    with pytest.raises(InvalidJobError, match="no preset 'best'"):
        job_of(clip, preset="best")


def test_an_unknown_setting_is_refused_with_the_known_ones(clip):
    with pytest.raises(InvalidJobError, match="stepz") as caught:
        job_of(clip, settings={"stepz": 7})
    assert "steps" in caught.value.hint


def test_a_setting_out_of_range_is_refused(clip):
    with pytest.raises(InvalidJobError, match="steps is 0"):
        job_of(clip, settings={"steps": 0})


def test_an_unknown_backbone_is_refused(clip):
    with pytest.raises(BackboneError, match="nowhere"):
        job_of(clip, backbone="nowhere")


def test_a_backbone_folder_becomes_absolute(clip):
    folder = find_backbone("demo").folder
    assert job_of(clip, backbone=str(folder)).backbone == str(folder)


def test_an_empty_prompt_is_refused_before_the_clip_is_opened(tmp_path):
    with pytest.raises(InvalidJobError, match="target prompt is empty"):
        make_job(EditRequest(clip=tmp_path / "missing.mp4", source_prompt="red", target_prompt=" "))


def test_a_missing_clip_is_refused(tmp_path):
    with pytest.raises(MediaError, match=r"missing\.mp4 does not exist"):
        job_of(tmp_path / "missing.mp4")


def test_zero_threads_means_the_cores_of_this_machine(clip):
    assert 1 <= default_threads() <= MOST_THREADS
    assert job_of(clip, threads=0).threads == default_threads()
    assert job_of(clip, threads=3).threads == 3


def test_a_sliver_is_refused_before_the_work(tmp_path):
    with pytest.raises(InvalidJobError, match="4000×4 px"):
        job_of(write_movie(tmp_path / "sliver.mkv", 1, 4000, 4))


@pytest.mark.parametrize("text", ["8,4,20,10", " 8, 4, 20, 10 "])
def test_four_numbers_are_a_mask_box(clip, text):
    mask = job_of(clip, mask=text, feather_px=2.5, invert_mask=True).mask
    assert mask.box == (8, 4, 20, 10)
    assert (mask.feather_px, mask.invert, mask.media) == (2.5, True, None)


def test_a_box_outside_of_the_clip_is_refused(clip):
    with pytest.raises(MaskError, match="outside"):
        job_of(clip, mask="640,0,20,10")


def test_one_mask_picture_is_held_for_every_frame(clip, tmp_path):
    folder = write_images(tmp_path / "mask", 2)
    mask = job_of(clip, mask=str(folder / "1.png"), frames=(2, 8)).mask
    assert mask.media.files == ("1.png",)
    assert mask.media.frames == (0,) * 7


def test_a_mask_as_long_as_the_clip_follows_the_range(clip, tmp_path):
    folder = write_images(tmp_path / "mask", 10)
    assert job_of(clip, mask=str(folder), frames=(3, 5)).mask.media.frames == (2, 3, 4)


def test_a_mask_as_long_as_the_range_starts_with_it(clip, tmp_path):
    folder = write_images(tmp_path / "mask", 3)
    assert job_of(clip, mask=str(folder), frames=(3, 5)).mask.media.frames == (0, 1, 2)


def test_a_short_mask_gives_the_frames_it_has(clip, tmp_path):
    movie = write_movie(tmp_path / "mask.mkv", 4)
    assert job_of(clip, mask=str(movie)).mask.media.frames == (0, 1, 2, 3)
    assert job_of(clip, mask=str(movie), frames=(3, 8)).mask.media.frames == (2, 3)
    assert job_of(clip, mask=str(movie), frames=(7, 9)).mask.media.frames == (3,)


def test_a_mask_that_covers_nothing_is_refused(clip, tmp_path):
    black = write_movie(tmp_path / "mask.mkv", 1, value=0)
    with pytest.raises(MaskError, match="covers nothing"):
        job_of(clip, mask=str(black))


def test_a_mask_of_another_shape_is_refused(clip, tmp_path):
    square = write_images(tmp_path / "mask", 1, 64, 64)
    with pytest.raises(MaskError, match="64×64 px, the clip 64×48 px"):
        job_of(clip, mask=str(square))


def test_a_missing_mask_is_refused(clip):
    with pytest.raises(MediaError, match=r"nowhere\.png does not exist"):
        job_of(clip, mask="nowhere.png")


@pytest.mark.parametrize(
    ("cores", "alone", "beside"), [(1, 1, 1), (2, 2, 1), (6, 6, 3), (64, 8, 8)]
)
def test_a_window_keeps_half_of_the_cores_for_itself(cores, alone, beside, monkeypatch):
    monkeypatch.setattr(request.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert default_threads() == alone
    assert default_threads(is_beside_window=True) == beside
