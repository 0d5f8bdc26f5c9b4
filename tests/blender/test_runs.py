# SPDX-License-Identifier: GPL-3.0-or-later
"""Test frames, variations, and how long an edit will take."""

import json
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.editing import poll_until, press_edit, results
from tests.blender.pictures import frame, read_png, write_sequence
from tests.blender.timeline import add_images, left, right, select_only, trim


@pytest.fixture
def long_clip(scene, tmp_path, fake):
    """24 pictures, frames 10 to 33."""
    paths = write_sequence(tmp_path / "long", 24)
    strip = add_images(scene.sequence_editor, paths, start=10, name="clip")
    select_only(scene, strip)
    return strip


@pytest.fixture
def timings(part):
    module = part("operators.timings")
    path = part("operators.shared_files").shared_folder() / "timings.json"
    path.unlink(missing_ok=True)
    module.forget()
    yield module
    path.unlink(missing_ok=True)
    module.forget()


@pytest.mark.parametrize(("playhead", "first"), [(10, 10), (20, 16), (33, 26)])
def test_test_frames_edits_a_short_window_around_the_playhead(scene, long_clip, playhead, first):
    scene.frame_current = playhead
    assert bpy.ops.delta_strip.test_frames("EXEC_DEFAULT") == {"FINISHED"}
    (result,) = results(scene)
    assert (left(result), right(result), result.channel) == (first, first + 8, 2)
    pictures = [Path(result.directory) / element.filename for element in result.elements]
    for index, picture in enumerate(pictures):
        assert np.array_equal(read_png(picture), frame(first - 10 + index))


def test_test_frames_of_a_rendered_strip_are_those_at_the_playhead(scene, long_clip):
    long_clip.use_reverse_frames = True
    scene.frame_current = 12
    bpy.ops.delta_strip.test_frames("EXEC_DEFAULT")
    (result,) = results(scene)
    picture = Path(result.directory) / result.elements[0].filename
    assert (left(result), right(result)) == (10, 18)
    assert np.array_equal(read_png(picture)[:, :, :3], frame(23))


def test_test_frames_takes_only_the_strips_at_the_playhead(part, scene, long_clip, tmp_path):
    paths = write_sequence(tmp_path / "other", 3)
    other = add_images(scene.sequence_editor, paths, start=60, name="other")
    select_only(scene, long_clip, other)
    scene.frame_current = 61
    bpy.ops.delta_strip.test_frames("EXEC_DEFAULT")
    (result,) = results(scene)
    assert (left(result), right(result)) == (60, 63)
    scene.frame_current = 200
    assert "playhead" in part("operators.edit").why_no_test(scene)
    with pytest.raises(RuntimeError, match="No strip is selected at the playhead"):
        bpy.ops.delta_strip.test_frames("EXEC_DEFAULT")


def test_variations_edit_with_one_seed_after_the_other(scene, long_clip, queue):
    scene.delta_strip.seed, scene.delta_strip.variations = 40, 3
    assert bpy.ops.delta_strip.variations("EXEC_DEFAULT") == {"FINISHED"}
    assert sorted(s["delta_strip_seed"] for s in results(scene)) == ["40", "41", "42"]
    assert sorted(s.channel for s in results(scene)) == [2, 3, 4]
    assert [job.title for job in queue.jobs] == [f"clip · seed {n}" for n in (40, 41, 42)]
    assert scene.delta_strip.seed == 40


@pytest.fixture
def rendered_clip(long_clip):
    """A strip that only a second Blender can show."""
    long_clip.use_reverse_frames = True
    trim(long_clip, 10, 16)
    return long_clip


def test_variations_of_a_rendered_strip_are_rendered_once(
    part, scene, rendered_clip, queue, monkeypatch
):
    background_render = part("operators.background_render")
    begun, saved = [], []
    begin = background_render.BackgroundRender.__init__

    def counted(self, folder):
        begun.append(folder)
        begin(self, folder)

    monkeypatch.setattr(background_render.BackgroundRender, "__init__", counted)
    bpy.app.handlers.save_pre.append(lambda *_: saved.append(1))
    scene.delta_strip.variations = 3
    assert bpy.ops.delta_strip.variations("EXEC_DEFAULT") == {"FINISHED"}
    bpy.app.handlers.save_pre.pop()
    assert [job.state for job in queue.jobs] == ["done"] * 3
    assert len(begun) == len(saved) == 1
    first, *others = (job.folder for job in queue.jobs)
    for other in others:
        for picture in sorted((first / "source").iterdir()):
            assert (other / "source" / picture.name).samefile(picture)
    assert not list(first.parent.glob("*/render.blend"))


@pytest.mark.parametrize("missing", ["links", "pictures"])
def test_a_variation_without_the_others_pictures_renders_its_own(
    part, scene, rendered_clip, queue, monkeypatch, missing
):
    if missing == "links":

        def refuse(*_arguments):
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    first, second = part("operators.edit").edit_selection(bpy.context, variations=2)
    poll_until(part, lambda: not first.is_open)
    if missing == "pictures":
        next((first.folder / "source").iterdir()).unlink()
    poll_until(part, lambda: not second.is_open)
    assert second.state == "done", second.message
    assert len(list((second.folder / "source").iterdir())) == 6


@pytest.mark.parametrize("reason", ["disk", "copy"])
def test_edit_queues_all_jobs_or_none(part, scene, rendered_clip, queue, monkeypatch, reason):
    job_store, background_render = part("engine.job_store"), part("operators.background_render")
    errors = part("engine.errors")
    made = []
    save, placement = background_render.BLEND, part("operators.result_import").save_placement

    def fails_at_the_second(folder, value):
        made.append(folder)
        if len(made) == 2:
            if reason == "disk":
                raise errors.StorageError("No space left.")
            monkeypatch.setattr(background_render, "BLEND", f"missing/{save}")
            monkeypatch.setattr(background_render, "_linked", lambda *_: False)
        placement(folder, value)

    monkeypatch.setattr(part("operators.result_import"), "save_placement", fails_at_the_second)
    scene.delta_strip.variations = 3
    with pytest.raises(RuntimeError, match=r"No space left|A copy of the film cannot be saved"):
        bpy.ops.delta_strip.variations("EXEC_DEFAULT")
    assert queue.jobs == []
    assert len(made) == 2
    assert job_store.list_jobs(made[0].parent) == []
    assert not any(folder.exists() for folder in made)


def test_variations_reach_the_largest_seed(scene, long_clip):
    scene.delta_strip.seed, scene.delta_strip.variations = 2**31 - 1, 16
    assert bpy.ops.delta_strip.variations("EXEC_DEFAULT") == {"FINISHED"}
    assert len(results(scene)) == 16


def test_the_time_is_unknown_before_the_first_edit_and_measured_after(
    part, scene, long_clip, timings
):
    line = part("panels.edit_panel").time_line
    assert "unknown" in line(scene)
    press_edit()
    assert line(scene).startswith("Takes about ")
    scene.delta_strip.method = "dreammotion"
    assert "unknown" in line(scene)


def test_the_estimate_grows_with_steps_and_frames(part, scene, long_clip, timings):
    press_edit()
    computer = part("operators.new_jobs").this_computer()
    values = scene.delta_strip

    def seconds(frames: int, *, is_loaded: bool = True) -> float:
        return timings.estimate(values, [(frames, (64, 48))], computer, is_loaded=is_loaded)

    (pace,) = timings.known()
    steps = part("operators.method_fields").edit_settings(values).steps
    plan = part("operators.settings").planned_size(values, (64, 48))
    work = 24 * steps * plan.padded_width * plan.padded_height
    assert seconds(24) == pytest.approx(pace.step * work + 1.0)  # the fake says 1 s for the rest
    assert seconds(48) == pytest.approx(2 * seconds(24))
    assert seconds(24, is_loaded=False) == pytest.approx(seconds(24) + 2.0)
    values.preset = "quality"
    assert seconds(24) - 1.0 == pytest.approx(2 * pace.step * work)


def test_a_resumed_job_does_not_count_for_the_estimate(scene, long_clip, fake, queue, timings):
    fake("crash")
    with pytest.raises(RuntimeError):
        press_edit()
    fake("normal")
    bpy.ops.delta_strip.resume("EXEC_DEFAULT", job=str(queue.jobs[0].folder))
    assert len(results(scene)) == 1
    assert timings.known() == []


def test_a_damaged_file_of_timings_is_as_good_as_none(part, scene, long_clip, timings):
    path = part("operators.shared_files").shared_folder() / "timings.json"
    path.write_text("{", encoding="utf-8")
    assert timings.known() == []
    press_edit()
    assert len(json.loads(path.read_text(encoding="utf-8"))) == 1
