# SPDX-License-Identifier: GPL-3.0-or-later
"""From the Edit button to the strip above its source, with a stand-in for the engine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.conftest import MODULE, ROOT
from tests.blender.editing import poll_until, press_edit, refused, results, start
from tests.blender.pictures import frame, read_png, read_rgb, write_sequence
from tests.blender.timeline import (
    add_effect,
    add_images,
    add_movie,
    children,
    left,
    right,
    select_only,
    trim,
)


def test_the_result_comes_in_above_its_source_with_everything_copied(scene, clip, queue):
    clip.transform.scale_x, clip.transform.offset_y, clip.transform.rotation = 0.5, 12, 0.25
    clip.crop.min_x, clip.use_flip_y = 3, True
    clip.blend_type, clip.blend_alpha, clip.alpha_mode = "ADD", 0.5, "PREMUL"
    clip.colorspace_settings.name = "Non-Color"
    clip.color_saturation, clip.color_tag = 0.75, "COLOR_04"
    trim(clip, 11, 15)
    scene.delta_strip.seed = 41
    assert press_edit() == {"FINISHED"}
    (result,) = results(scene)
    assert (left(result), right(result), result.channel) == (11, 15, 2)
    for name in ("scale_x", "scale_y", "offset_x", "offset_y", "rotation"):
        assert getattr(result.transform, name) == getattr(clip.transform, name)
    assert (result.crop.min_x, result.use_flip_x, result.use_flip_y) == (3, False, True)
    assert (result.blend_type, result.blend_alpha, result.alpha_mode) == ("ADD", 0.5, "PREMUL")
    assert result.colorspace_settings.name == "Non-Color"
    assert (result.color_saturation, result.color_tag) == (0.75, "COLOR_04")
    assert result["delta_strip_source_prompt"] == "a red ball"
    assert result["delta_strip_target_prompt"] == "a blue ball"
    assert result["delta_strip_seed"] == "41"
    assert result["delta_strip_source"] == clip["delta_strip_uuid"]
    assert result["delta_strip_uuid"] != clip["delta_strip_uuid"]
    folder = Path(result["delta_strip_job"])
    assert (folder / "imported").exists()
    pictures = [Path(bpy.path.abspath(result.directory)) / e.filename for e in result.elements]
    assert len(pictures) == 4
    for number, picture in enumerate(pictures, 1):
        assert np.array_equal(read_png(picture), frame(number))
    assert queue.jobs[0].state == "done"
    assert queue.jobs[0].factor == 1.0


def test_the_result_goes_to_the_first_channel_that_is_free_and_not_locked(scene, clip):
    add_effect(scene.sequence_editor, "COLOR", channel=2, start=14, length=5)
    add_effect(scene.sequence_editor, "COLOR", channel=3, start=16, length=5).select = False
    scene.sequence_editor.channels[3].lock = True
    select_only(scene, clip)
    press_edit()
    assert results(scene)[0].channel == 4


def test_each_strip_of_a_selection_gets_a_job_and_a_result(scene, clip, movie, queue):
    other = add_movie(scene.sequence_editor, movie, start=40)
    select_only(scene, clip, other)
    assert press_edit() == {"FINISHED"}
    assert sorted((left(s), right(s)) for s in results(scene)) == [(10, 16), (40, 64)]
    assert len({job.folder for job in queue.jobs}) == 2
    pid = queue.engine.pid
    assert pid is not None
    select_only(scene, clip)
    press_edit()
    assert queue.engine.pid == pid  # models stay loaded between jobs


def test_a_rendered_strip_comes_back_exactly_and_without_its_changes_twice(scene, clip):
    clip.use_reverse_frames = True
    clip.use_flip_x = True
    clip.color_multiply = 1.0
    press_edit()
    (result,) = results(scene)
    assert result.use_flip_x
    assert not result.use_reverse_frames
    for index, element in enumerate(result.elements):
        assert np.array_equal(read_rgb(Path(result.directory) / element.filename), frame(5 - index))


def test_a_meta_strips_result_fills_the_scene_at_its_place(scene, clip):
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=3, frame_start=10)
    clip.move_to_meta(meta)
    trim(meta, 10, 16)
    meta.transform.scale_x = meta.transform.scale_y = 0.5
    select_only(scene, meta)
    press_edit()
    (result,) = results(scene)
    assert (left(result), right(result), result.channel) == (10, 16, 4)
    assert result.transform.scale_x == 1.0  # the frames already show the smaller picture
    assert (read_png(Path(result.directory) / result.elements[0].filename)[0] == 0).all()


def test_a_strip_inside_a_meta_strip_gets_its_result_inside_too(part, scene, clip):
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=3, frame_start=10)
    clip.move_to_meta(meta)
    place = part("operators.strips").find_named(scene, "clip")
    plan = (place, part("operators.source_export").plan_export(place))
    (job,) = part("operators.new_jobs").queue_jobs([plan], [1])
    part("operators.jobs").run_to_end([job])
    assert sorted(s.name for s in children(meta)) == ["clip", job.result_name]


def test_undo_takes_back_the_insertion_and_nothing_else(scene, clip):
    bpy.ops.ed.undo_push(message="start")
    add_effect(scene.sequence_editor, "COLOR", channel=9)  # made by a script: no undo step
    select_only(scene, clip)
    press_edit()
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert sorted(s.name for s in children(scene.sequence_editor)) == ["clip", "color"]
    assert children(scene.sequence_editor)["clip"].get("delta_strip_uuid")
    bpy.ops.ed.redo()
    assert len(results(bpy.context.scene)) == 1


def test_undo_before_the_job_was_queued_does_not_lose_the_result(part, scene, clip):
    bpy.ops.ed.undo_push(message="one")
    scene.delta_strip.target_prompt = "a green ball"
    bpy.ops.ed.undo_push(message="two")
    (job,) = start(part)
    bpy.ops.ed.undo()
    assert not children(bpy.context.scene.sequence_editor)["clip"].get("delta_strip_uuid")
    poll_until(part, lambda: not job.is_open)
    assert job.state == "done"
    assert results(bpy.context.scene)[0]["delta_strip_target_prompt"] == "a green ball"


def test_a_crash_of_the_engine_is_shown_and_the_next_job_runs(scene, clip, fake, queue):
    fake("crash")
    text = refused()
    assert "fatal: the fake engine fell over" in text
    assert results(scene) == []
    assert queue.jobs[0].state == "failed"
    fake("normal")
    assert press_edit() == {"FINISHED"}


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("out_of_memory", "8 GB are needed, 2 GB are free. Edit a smaller size."),
        ("other_version", "protocol"),
        ("ready_failure", ""),
        ("garbage", ""),
    ],
)
def test_what_the_engine_says_reaches_the_editor(scene, clip, fake, queue, scenario, words):
    fake(scenario)
    text = refused()
    assert words in text
    assert queue.jobs[0].message
    assert results(scene) == []


def test_a_failed_job_can_be_resumed(scene, clip, fake, queue):
    fake("crash")
    refused()
    fake("normal")
    folder = str(queue.jobs[0].folder)
    assert bpy.ops.delta_strip.resume("EXEC_DEFAULT", job=folder) == {"FINISHED"}
    assert [job.state for job in queue.jobs] == ["done"]
    assert len(results(scene)) == 1


def test_cancel_stops_the_job_and_keeps_the_timeline(part, scene, clip, fake, queue):
    fake("slow", STEPS="500", STEP_SECONDS="0.02")
    first, second = start(part) + start(part)
    poll_until(part, lambda: first.done > 2)
    assert 0.15 <= first.factor < 0.85
    bpy.ops.delta_strip.cancel("EXEC_DEFAULT")
    assert second.state == "cancelled"
    began = time.monotonic()
    poll_until(part, lambda: not first.is_open)
    assert time.monotonic() - began < 2
    assert first.state == "cancelled"
    assert results(scene) == []


def test_cancel_while_the_strip_is_rendered_ends_the_second_blender(part, scene, clip, queue):
    clip.use_reverse_frames = True
    (job,) = start(part)
    poll_until(part, lambda: job.state == "exporting")
    process = queue._render._process
    bpy.ops.delta_strip.cancel("EXEC_DEFAULT", job=str(job.folder))
    assert job.state == "cancelled"
    assert process.poll() is not None


def test_progress_never_reaches_100_percent_before_the_strip_is_there(part, scene, clip, fake):
    fake("slow", STEPS="20", STEP_SECONDS="0.01")
    (job,) = start(part)
    factors = []

    def ended() -> bool:
        factors.append((job.factor, len(results(scene))))
        return not job.is_open

    poll_until(part, ended)
    assert all(factor < 1.0 for factor, count in factors if count == 0)
    assert factors[-1] == (1.0, 1)


def test_a_strip_moved_during_the_job_gets_its_result_where_it_is_now(part, scene, clip):
    (job,) = start(part)
    if hasattr(clip, "content_start"):
        clip.content_start += 100
    else:
        clip.frame_start += 100
    clip.channel = 5
    poll_until(part, lambda: not job.is_open)
    (result,) = results(scene)
    assert (left(result), result.channel) == (110, 6)


def test_a_half_written_frame_left_in_the_folder_does_not_hinder_the_result(part, scene, clip):
    (job,) = start(part)
    (job.folder / "frames").mkdir()
    (job.folder / "frames" / ".4711.part.000003.png").write_bytes(b"half")
    poll_until(part, lambda: not job.is_open)
    assert job.state == "done", job.message
    names = [element.filename for element in results(scene)[0].elements]
    assert names == [f"{number:06d}.png" for number in range(1, 7)]


def test_loading_another_file_during_a_job_loses_nothing(part, scene, clip, tmp_path, queue):
    recovery = part("operators.recovery")
    blend = tmp_path / "Schnitt eins.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    (job,) = start(part)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile(use_empty=True)
    poll_until(part, lambda: not job.is_open)
    assert job.state == "kept"
    assert "not in the open file" in job.message
    assert "Schnitt eins.blend" in job.hint
    bpy.ops.delta_strip.clear_queue("EXEC_DEFAULT")
    assert recovery.found == []
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    bpy.ops.delta_strip.insert_result("EXEC_DEFAULT", job=str(job.folder))
    (result,) = results(bpy.context.scene)
    assert (left(result), right(result), result.channel) == (10, 16, 2)


def test_a_deleted_strip_leaves_the_result_in_the_list(part, scene, clip):
    (job,) = start(part)
    children(scene.sequence_editor).remove(clip)
    poll_until(part, lambda: not job.is_open)
    assert job.state == "kept"
    assert (job.folder / "result.json").exists()
    assert not (job.folder / "imported").exists()
    assert str(job.folder) in part("operators.results").found


def test_the_result_waits_while_blender_renders(part, scene, clip, monkeypatch):
    jobs = part("operators.jobs")

    class App:
        background = True
        is_rendering = True

        @classmethod
        def is_job_running(cls, _name):
            return cls.is_rendering

    class Bpy:
        app = App
        context = bpy.context

    (job,) = start(part)
    monkeypatch.setattr(jobs, "bpy", Bpy)
    poll_until(part, lambda: job.state == "importing")
    for _ in range(20):
        jobs.poll()
    assert results(scene) == []
    App.is_rendering = False
    poll_until(part, lambda: job.state == "done")


def test_a_job_of_a_blender_that_was_killed_is_offered_and_resumed(part, scene, clip, tmp_path):
    recovery = part("operators.recovery")
    blend = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    output = part("preferences").get_preferences().output_folder
    script = (
        "import os, bpy, addon_utils, importlib, time\n"
        f"addon_utils.enable({MODULE!r}, default_set=True)\n"
        f"bpy.ops.wm.open_mainfile(filepath={str(blend)!r})\n"
        f"part = lambda name: importlib.import_module({MODULE!r} + '.' + name)\n"
        f"part('preferences').get_preferences().output_folder = {output!r}\n"
        f"command = [{sys.executable!r}, {str(ROOT / 'tests/fake_engine.py')!r}, 'slow']\n"
        "clean = part('engine.child_process').clean_environment\n"
        "environment = clean({'FAKE_ENGINE_STEPS': '999'})\n"
        "part('engine.client').engine_command = lambda *_: (command, environment)\n"
        "(job,) = part('operators.edit').edit_selection(bpy.context)\n"
        "while job.done < 3:\n"
        "    part('operators.jobs').poll()\n"
        "    time.sleep(0.01)\n"
        "bpy.ops.wm.save_mainfile()\n"
        "print('KILLED', flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-B", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ),
    )
    assert killed.returncode == -9, killed.stdout + killed.stderr
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    end = time.monotonic() + 10
    while not recovery.found and time.monotonic() < end:
        recovery.scan()
        time.sleep(0.1)  # the engine has to notice that its parent is gone
    (found,) = recovery.found
    assert found.title == "clip"
    assert bpy.ops.delta_strip.resume("EXEC_DEFAULT", job=str(found.folder)) == {"FINISHED"}
    assert len(results(bpy.context.scene)) == 1
    assert recovery.found == []


def test_a_discarded_job_is_gone_from_the_disk(part, scene, clip, fake, queue):
    fake("crash")
    refused()
    folder = queue.jobs[0].folder
    assert bpy.ops.delta_strip.discard("EXEC_DEFAULT", job=str(folder)) == {"FINISHED"}
    assert not folder.exists()
    assert queue.jobs == []


def test_a_read_only_results_folder_is_named(part, scene, clip, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    part("preferences").get_preferences().output_folder = str(blocked / "jobs")
    assert str(blocked) in refused()


def test_the_engine_ends_when_the_extension_is_disabled(part, scene, clip, queue):
    import addon_utils

    press_edit()
    pid = queue.engine.pid
    addon_utils.disable(MODULE, default_set=True)
    try:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        addon_utils.enable(MODULE, default_set=True)


def test_nothing_is_written_into_the_extensions_folder(extension, scene, clip):
    folder = Path(extension.__file__).parent
    before = sorted(folder.rglob("*"))
    clip.use_reverse_frames = True
    press_edit()
    assert sorted(folder.rglob("*")) == before


def test_the_real_engine_edits_a_strip_with_the_demo_backbone(scene, tmp_path, real_engine):
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 3), name="clip")
    scene.delta_strip.source_prompt = "a red ball moving over grass"
    scene.delta_strip.target_prompt = "a blue ball moving over grass"
    scene.delta_strip.strength = 0.0
    assert press_edit() == {"FINISHED"}
    assert len(results(scene)[0].elements) == 3
