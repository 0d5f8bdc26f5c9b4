# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of finished edits: what is in it, and what its buttons do."""

import dataclasses
import json
from pathlib import Path

import bpy
import pytest

from tests.blender.editing import poll_until, press_edit, results, start
from tests.blender.pictures import write_sequence
from tests.blender.timeline import add_images, children, left, right, select_only, trim


@pytest.fixture
def listed(part, scene):
    """The module behind the list, which has seen this test's folder alone."""
    part("operators.results").refresh()
    return part("operators.results")


def lines() -> list[str]:
    return [line.name for line in bpy.context.window_manager.delta_strip_results.lines]


def run(operator: str, **properties) -> set:
    return getattr(bpy.ops.delta_strip, operator)("EXEC_DEFAULT", **properties)


def refused(operator: str, **properties) -> str:
    with pytest.raises(RuntimeError) as caught:
        run(operator, **properties)
    return str(caught.value)


def remove(scene, strip) -> None:
    children(scene.sequence_editor).remove(strip)


def test_a_finished_edit_is_in_the_list_and_newest_first(part, scene, clip, listed):
    assert lines() == []
    press_edit()
    scene.delta_strip.target_prompt = "a green ball"
    press_edit()
    assert lines() == ["clip → a green ball", "clip → a blue ball"]
    newest = next(iter(listed.found.values()))
    assert newest.job.target_prompt == "a green ball"
    assert newest.picture.name == "000003.png"
    assert newest.picture.is_file()


def test_unfinished_and_foreign_folders_are_not_in_the_list(part, scene, clip, listed, fake):
    fake("crash")
    with pytest.raises(RuntimeError):
        press_edit()
    root = part("preferences").jobs_root(bpy.data.filepath)
    (root / "something").mkdir()
    (root / "something/job.json").write_text("{}")
    (root / "something/result.json").write_text("{}")
    listed.refresh()
    assert lines() == []


def test_the_chosen_line_stays_chosen_when_others_come_in(part, scene, clip, listed):
    press_edit()
    first = listed.chosen_result().folder
    scene.delta_strip.target_prompt = "a green ball"
    press_edit()
    assert bpy.context.window_manager.delta_strip_results.index == 1
    assert listed.chosen_result().folder == first


def test_the_list_is_there_again_after_loading_a_file(part, scene, clip, listed, tmp_path):
    press_edit()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert lines() == ["clip → a blue ball"]
    assert listed.chosen_result().title == "clip"


def test_a_result_is_inserted_again_above_its_source(part, scene, clip, listed):
    press_edit()
    remove(scene, results(scene)[0])
    assert run("insert_result") == {"FINISHED"}
    (result,) = results(scene)
    assert (left(result), right(result), result.channel) == (10, 16, 2)
    assert not clip.mute


def test_insert_and_mute_the_source_is_one_undo_step(part, scene, clip, listed):
    press_edit()
    remove(scene, results(scene)[0])
    assert run("insert_result", mute_source=True) == {"FINISHED"}
    assert clip.mute
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert results(scene) == []
    assert not children(scene.sequence_editor)["clip"].mute


def test_a_result_whose_source_is_gone_comes_in_at_the_playhead(part, scene, clip, listed):
    (job,) = start(part)
    remove(scene, clip)
    poll_until(part, lambda: not job.is_open)
    assert "waits in Results" in job.hint
    assert lines() == ["clip → a blue ball"]
    scene.frame_set(77)
    assert run("insert_result", mute_source=True) == {"FINISHED"}
    (result,) = results(scene)
    assert (left(result), right(result), result.channel) == (77, 83, 1)
    assert (job.folder / "imported").exists()


def test_a_result_comes_into_an_empty_file_too(part, scene, clip, listed):
    press_edit()
    bpy.ops.wm.read_homefile(use_empty=True)
    assert run("insert_result") == {"FINISHED"}
    assert len(results(bpy.context.scene)) == 1


def test_a_result_without_its_frames_says_so(part, scene, clip, listed):
    press_edit()
    folder = listed.chosen_result().folder
    (folder / "frames/000002.png").unlink()
    assert "1 of 6 edited frames are missing" in refused("insert_result")


def test_a_result_that_a_queue_holds_is_not_inserted_twice(part, scene, clip, listed):
    press_edit()
    folder = listed.chosen_result().folder
    lock = part("engine.job_store").claim(folder)
    try:
        assert "queue" in refused("insert_result", job=str(folder))
    finally:
        lock.release()


def test_without_a_result_the_buttons_say_so(scene, listed):
    assert "No result is chosen" in refused("insert_result")


@pytest.fixture
def mask(scene, clip, tmp_path):
    strip = add_images(
        scene.sequence_editor,
        write_sequence(tmp_path / "m", 6),
        start=10,
        channel=7,
        name="mask",
    )
    scene.delta_strip.mask_strip = "mask"
    select_only(scene, clip)
    return strip


SETTINGS = {
    "source_prompt": "a red ball over grass",
    "target_prompt": "a square over grass",
    "method": "dreammotion",
    "preset": "quality",
    "changes": '{"steps": 9, "dreammotion": {"spatial_share": 0.7}}',
    "area_scale": 0.5,
    "strength": 0.75,
    "seed": 2**31 - 1,
    "mask_channel": "alpha",
    "use_invert_mask": True,
    "feather_px": 3.5,
}


def test_reused_settings_make_the_very_same_job(part, scene, clip, mask, listed, queue):
    for name, value in SETTINGS.items():
        setattr(scene.delta_strip, name, value)
    press_edit()
    before = queue.jobs[0].job
    for name in SETTINGS:
        scene.delta_strip.property_unset(name)
    mask.name = "renamed"
    scene.delta_strip.mask_strip = ""
    assert run("reuse_settings") == {"FINISHED"}
    assert {name: getattr(scene.delta_strip, name) for name in SETTINGS} == SETTINGS
    assert scene.delta_strip.mask_strip == "renamed"
    queue.jobs.clear()
    press_edit()
    assert queue.jobs[0].job == before


def test_reusing_settings_without_a_mask_empties_the_mask(part, scene, clip, listed, mask):
    scene.delta_strip.mask_strip = ""
    press_edit()
    scene.delta_strip.mask_strip = "mask"
    run("reuse_settings")
    assert scene.delta_strip.mask_strip == ""


def test_what_cannot_be_reused_is_said(part, scene, clip, listed, mask):
    press_edit()
    job, reuse = listed.chosen_result().job, part("operators.settings_reuse")
    key = mask["delta_strip_uuid"]
    assert reuse.apply(scene, job, key) == []
    remove(scene, mask)
    huge = dataclasses.replace(job, seed=2**62)
    notes = reuse.apply(scene, huge, key)
    assert str(2**62) in notes[0]
    assert "mask strip is not in this scene" in notes[1]
    assert scene.delta_strip.mask_strip == ""


def test_placements_of_earlier_versions_are_still_read(part, scene, clip):
    press_edit()
    imports = part("operators.result_import")
    path = Path(results(scene)[0]["delta_strip_job"]) / part("engine.job_store").PLACEMENT
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["mask"]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert imports.load_placement(path.parent).mask == ""


def test_a_result_is_deleted_with_its_files_but_not_while_a_strip_shows_it(
    part, scene, clip, listed
):
    press_edit()
    folder = listed.chosen_result().folder
    assert "shows these frames" in refused("delete_result")
    assert folder.exists()
    remove(scene, results(scene)[0])
    assert run("delete_result") == {"FINISHED"}
    assert not folder.exists()
    assert lines() == []


def test_only_a_job_folder_can_be_deleted(part, scene, listed, tmp_path):
    (tmp_path / "photos").mkdir()
    assert "not a job folder" in refused("delete_result", job=str(tmp_path / "photos"))
    assert (tmp_path / "photos").exists()


def test_the_folder_of_a_result_that_moved_with_its_project_is_found(
    part, scene, clip, listed, tmp_path
):
    press_edit()
    (result,) = results(scene)
    old = Path(result["delta_strip_job"])
    new = old.rename(tmp_path / "moved")
    result.directory = str(new / "frames")
    assert listed.folder_of(result) == new


def test_the_panel_of_a_result_strip_tells_what_made_it(part, scene, clip):
    scene.delta_strip.seed = 5
    press_edit()
    (result,) = results(scene)
    clip.name = "renamed"
    facts = dict(part("panels.strip_panel").facts(scene, result))
    assert facts == {
        "Made from": "renamed",
        "Source": "a red ball",
        "Target": "a blue ball",
        "Method": "Delta Denoising",
        "Seed": "5",
        "Model": "Delta Strip demo",
        "Delta Strip": "fake",
        "Blender": bpy.app.version_string,
    }
    remove(scene, clip)
    assert dict(part("panels.strip_panel").facts(scene, result))["Made from"] == "clip"


def test_a_trimmed_copy_of_a_result_keeps_its_result_from_being_deleted(part, scene, clip, listed):
    press_edit()
    (result,) = results(scene)
    trim(result, 11, 13)
    result.name = "copy"
    assert "“copy” shows these frames" in refused("delete_result")


def test_refresh_reads_the_pictures_again_and_finds_what_others_made(part, scene, clip, listed):
    press_edit()
    thumbnails, picture = part("panels.thumbnails"), listed.chosen_result().picture
    thumbnails.icon(picture)
    assert str(picture) in thumbnails._previews
    listed.found.clear()
    assert run("refresh_results") == {"FINISHED"}
    assert lines() == ["clip → a blue ball"]
    assert str(picture) not in thumbnails._previews
    assert thumbnails.icon(picture.with_name("none.png")) == 0


def test_what_was_read_once_is_not_read_again_when_a_file_is_opened(
    part, scene, clip, listed, monkeypatch
):
    press_edit()
    monkeypatch.setattr(part("engine.job_store"), "load", lambda _folder: 1 / 0)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert len(lines()) == lines_of(listed) == 1


def lines_of(listed) -> int:
    return len(listed.found)
