# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo, saving, loading, and changes of the timeline at any moment of a job lose nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from tests.blender.conftest import MODULE, ROOT
from tests.blender.editing import poll_until, press_edit, results, start
from tests.blender.timeline import children, left, right, select_only

MOMENTS = ["waiting", "exporting", "running"]  # importing begins and ends within one tick


def reach(part, job, moment: str) -> None:
    """Follow a job until it is in this state."""
    poll_until(part, lambda: job.state == moment)


def finish(part, job) -> None:
    poll_until(part, lambda: not job.is_open)


def clip_of(scene):
    return children(scene.sequence_editor)["clip"]


@pytest.fixture
def queued(part, clip, fake):
    """A job for the clip that passes all moments: it is rendered, run and imported."""
    clip.use_reverse_frames = True
    fake("slow", STEPS="5", STEP_SECONDS="0.02")
    bpy.ops.ed.undo_push(message="timeline")
    (job,) = start(part)
    bpy.ops.ed.undo_push(message="queued")
    return job


@pytest.mark.parametrize("moment", MOMENTS)
def test_undo_and_redo_at_any_moment_lose_nothing(part, scene, queued, moment):
    reach(part, queued, moment)
    bpy.ops.ed.undo()
    part("operators.jobs").poll()
    bpy.ops.ed.redo()
    part("operators.jobs").poll()
    bpy.ops.ed.undo()
    finish(part, queued)
    assert queued.state == "done", queued.message
    (result,) = results(bpy.context.scene)
    source = clip_of(bpy.context.scene)
    assert (left(result), right(result)) == (left(source), right(source))
    bpy.ops.ed.undo()
    assert results(bpy.context.scene) == []
    assert clip_of(bpy.context.scene)
    bpy.ops.ed.redo()
    assert len(results(bpy.context.scene)) == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_loading_another_file_at_any_moment_keeps_the_result(part, scene, queued, moment, tmp_path):
    blend = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    reach(part, queued, moment)
    bpy.ops.wm.read_homefile(use_empty=True)
    finish(part, queued)
    assert "film.blend" in queued.hint
    assert str(queued.folder) in part("operators.results").found
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert bpy.ops.delta_strip.insert_result("EXEC_DEFAULT", job=str(queued.folder)) == {"FINISHED"}
    (result,) = results(bpy.context.scene)
    assert (left(result), right(result), result.channel) == (10, 16, 2)


def test_a_result_that_was_undone_can_be_inserted_again(part, scene, clip):
    bpy.ops.ed.undo_push(message="timeline")
    press_edit()
    bpy.ops.ed.undo()
    assert results(bpy.context.scene) == []
    bpy.ops.delta_strip.insert_result("EXEC_DEFAULT")
    assert len(results(bpy.context.scene)) == 1


def test_saving_under_another_name_takes_the_job_along(part, scene, queued, tmp_path):
    reach(part, queued, "running")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "renamed.blend"))
    finish(part, queued)
    assert queued.state == "done", queued.message
    placement = part("operators.result_import").load_placement(queued.folder)
    assert placement.blend == str(tmp_path / "renamed.blend")


def test_switching_to_another_scene_leaves_the_result_with_its_strip(part, scene, queued):
    other = bpy.data.scenes.new("Another")
    bpy.context.window.scene = other
    finish(part, queued)
    assert queued.state == "done", queued.message
    assert len(results(scene)) == 1
    assert other.sequence_editor is None


def test_a_renamed_scene_and_a_renamed_strip_are_found(part, scene, queued):
    scene.name, clip_of(scene).name = "Schnitt", "andere"
    finish(part, queued)
    assert results(scene)[0].name == "andere · a blue ball"


def test_a_strip_that_was_put_into_a_meta_strip_gets_its_result_there(part, scene, queued):
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=6, frame_start=10)
    clip_of(scene).move_to_meta(meta)
    finish(part, queued)
    assert queued.state == "done", queued.message
    assert sorted(s.name for s in children(meta)) == ["clip", "clip · a blue ball"]


def test_a_strip_that_was_locked_meanwhile_still_gets_its_result(part, scene, queued):
    clip_of(scene).lock = True
    finish(part, queued)
    assert queued.state == "done", queued.message


def test_a_deleted_scene_leaves_the_result_in_the_list(part, scene, queued):
    other = bpy.data.scenes.new("Another")
    bpy.context.window.scene = other
    bpy.data.scenes.remove(scene)
    finish(part, queued)
    assert "waits in Results" in queued.hint
    assert bpy.ops.delta_strip.insert_result("EXEC_DEFAULT") == {"FINISHED"}
    assert len(results(other)) == 1


def test_a_result_goes_above_locked_and_muted_channels(part, scene, clip):
    channels = scene.sequence_editor.channels
    channels[2].lock = channels[3].mute = True
    press_edit()
    assert [strip.channel for strip in results(scene)] == [4]


@pytest.fixture
def pushed(part, monkeypatch):
    """Names of the undo steps that an insertion makes."""
    names: list[str] = []
    push = bpy.ops.ed.undo_push

    class Ops:
        def __getattr__(self, name):
            return getattr(bpy.ops, name)

        class ed:
            @staticmethod
            def undo_push(message):
                names.append(message)
                return push(message=message)

    class Bpy:
        ops = Ops()

        def __getattr__(self, name):
            return getattr(bpy, name)

    monkeypatch.setattr(part("operators.result_import"), "bpy", Bpy())
    return names


def test_half_a_result_is_removed_again(part, scene, clip, pushed, monkeypatch):
    imports = part("operators.result_import")

    def fails(*_arguments):
        raise part("engine.errors").MediaError("It cannot look like this.")

    with monkeypatch.context() as patch:
        patch.setattr(imports, "copy_look", fails)
        (job,) = start(part)
        finish(part, job)
    assert "cannot look like this" in job.message
    assert [strip.name for strip in children(scene.sequence_editor)] == ["clip"]
    assert bpy.ops.delta_strip.insert_result("EXEC_DEFAULT") == {"FINISHED"}
    assert pushed[-2:] == ["Before the edited strip", "Insert edited strip"]


def test_without_a_free_channel_the_result_waits_in_the_list(part, scene, clip, pushed):
    channels = scene.sequence_editor.channels
    for number in range(2, len(channels)):
        channels[number].lock = True
    (job,) = start(part)
    finish(part, job)
    assert "No channel above “clip” is free" in job.message
    assert pushed == []  # a failure is no step to undo
    channels[5].lock = False
    assert bpy.ops.delta_strip.insert_result("EXEC_DEFAULT") == {"FINISHED"}
    assert results(scene)[0].channel == 5


SECOND_BLENDER = """
import bpy, addon_utils, importlib, sys, time
module, blend, output, command, tests = {arguments!r}
sys.path.insert(0, tests)
addon_utils.enable(module, default_set=True)
bpy.ops.wm.open_mainfile(filepath=blend)
part = lambda name: importlib.import_module(module + "." + name)
part("preferences").get_preferences().output_folder = output
environment = part("engine.child_process").clean_environment(
    {{"FAKE_ENGINE_STEPS": "20", "FAKE_ENGINE_STEP_SECONDS": "0.02"}}
)
part("engine.client").engine_command = lambda *_: (command, environment)
jobs = part("operators.jobs")
queued = []
for target in ("one", "two", "three"):
    bpy.context.scene.delta_strip.target_prompt = target
    queued += part("operators.edit").edit_selection(bpy.context)
print("QUEUED", flush=True)
sys.stdin.readline()
jobs.run_to_end(queued)
print("ENDED", *[job.state for job in queued], flush=True)
import os
os._exit(0)
"""


def second_blender(blend: Path, output: str) -> subprocess.Popen:
    """Another Blender with three jobs in the same folder; a line on its stdin sets it off."""
    command = [sys.executable, str(ROOT / "tests/fake_engine.py"), "slow"]
    arguments = (MODULE, str(blend), output, command, str(ROOT))
    return subprocess.Popen(
        [sys.executable, "-B", "-c", SECOND_BLENDER.format(arguments=arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def wait_for(process: subprocess.Popen, word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise AssertionError(f"the second Blender ended without {word}")


def test_two_blenders_share_one_folder(part, scene, clip, fake, tmp_path, queue):
    blend = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    output = part("preferences").get_preferences().output_folder
    other = second_blender(blend, output)
    try:
        wait_for(other, "QUEUED")
        theirs = part("engine.job_store").list_jobs(Path(output))
        assert len(theirs) == 3
        part("operators.recovery").scan()
        assert part("operators.recovery").found == []  # they are in the other's queue
        for operator in ("resume", "discard", "insert_result"):
            with pytest.raises(RuntimeError, match=r"Another Blender|A queue"):
                getattr(bpy.ops.delta_strip, operator)("EXEC_DEFAULT", job=str(theirs[0]))
        fake("slow", STEPS="20", STEP_SECONDS="0.02")
        ours = [job for target in ("four", "five") for job in queue_target(part, scene, target)]
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        poll_until(part, lambda: not any(job.is_open for job in ours))
        assert wait_for(other, "ENDED").split()[1:] == ["done"] * 3
    finally:
        other.kill()
        other.wait()
        for pipe in (other.stdin, other.stdout):
            if pipe is not None:
                pipe.close()
    assert [job.state for job in ours] == ["done"] * 2
    assert sorted(s["delta_strip_target_prompt"] for s in results(scene)) == ["five", "four"]
    part("operators.results").refresh()
    listed = {r.job.target_prompt for r in part("operators.results").found.values()}
    assert listed == {"one", "two", "three", "four", "five"}
    for folder in part("engine.job_store").list_jobs(Path(output)):
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        assert record["job"] == json.loads((folder / "job.json").read_text(encoding="utf-8"))
        assert (folder / "imported").exists()


def queue_target(part, scene, target: str) -> list:
    select_only(scene, clip_of(scene))
    scene.delta_strip.target_prompt = target
    return start(part)
