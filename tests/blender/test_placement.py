"""Results find their strip again: in copied scenes, and in files that are saved meanwhile."""

import json
from dataclasses import replace

import bpy
import pytest

from tests.blender.editing import poll_until, results, start
from tests.blender.timeline import children


@pytest.mark.parametrize("name", ["A copy", "Z copy"])
def test_the_result_comes_into_the_scene_it_was_edited_in_although_that_was_copied(
    part, scene, clip, name
):
    (job,) = start(part)
    copy = scene.copy()
    copy.name = name
    poll_until(part, lambda: not job.is_open)
    assert job.state == "done", job.message
    assert len(results(scene)) == 1
    assert results(copy) == []


@pytest.mark.parametrize("name", ["A copy", "Z copy"])
def test_an_edit_in_a_copied_scene_and_one_in_the_original_come_back_where_they_began(
    part, scene, clip, name
):
    (first,) = start(part)
    copy = scene.copy()
    copy.name = name
    part("operators.strips").settle(bpy.data.scenes)
    place = part("operators.strips").find_named(copy, "clip")
    plan = (place, part("operators.source_export").plan_export(place))
    (second,) = part("operators.new_jobs").queue_jobs([plan], [1])
    poll_until(part, lambda: not (first.is_open or second.is_open))
    assert [s["delta_strip_job"] for s in results(scene)] == [str(first.folder)]
    assert [s["delta_strip_job"] for s in results(copy)] == [str(second.folder)]


def test_undo_after_the_first_save_does_not_lose_the_result(part, scene, clip, tmp_path):
    bpy.ops.ed.undo_push(message="one")
    scene.delta_strip.target_prompt = "a green ball"
    bpy.ops.ed.undo_push(message="two")
    (job,) = start(part)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.ed.undo()
    assert not children(bpy.context.scene.sequence_editor)["clip"].get("delta_strip_uuid")
    poll_until(part, lambda: not job.is_open)
    assert job.state == "done", job.message
    assert len(results(bpy.context.scene)) == 1


def test_a_job_of_another_file_does_not_follow_the_one_that_is_saved(part, scene, clip, tmp_path):
    (job,) = start(part)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "other.blend"))
    assert part("operators.result_import").load_placement(job.folder).blend == ""


def test_saving_a_copy_leaves_the_jobs_with_the_open_file(part, scene, clip, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    (job,) = start(part)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copy.blend"), copy=True)
    placement = part("operators.result_import").load_placement(job.folder)
    assert placement.blend == str(tmp_path / "film.blend")


def test_the_result_says_what_made_it(part, scene, clip):
    (job,) = start(part)
    poll_until(part, lambda: not job.is_open)
    (result,) = results(scene)
    assert result["delta_strip_method"] == job.job.method
    assert result["delta_strip_backbone"] == job.job.backbone
    assert result["delta_strip_engine_version"] == "fake"
    assert result["delta_strip_blender_version"] == bpy.app.version_string


def test_an_old_result_that_is_inserted_again_names_the_versions_that_made_it(part, scene, clip):
    (job,) = start(part)
    poll_until(part, lambda: not job.is_open)
    children(scene.sequence_editor).remove(results(scene)[0])
    path, imports = job.folder / "result.json", part("operators.result_import")
    made = json.loads(path.read_text(encoding="utf-8"))
    made |= {"engine": "0.0.7", "machine": {"torch": "1.2.3"}}
    path.write_text(json.dumps(made), encoding="utf-8")
    placement = replace(imports.load_placement(job.folder), blender_version="4.2.0")
    imports.save_placement(job.folder, placement)
    bpy.ops.delta_strip.insert_result("EXEC_DEFAULT", job=str(job.folder))
    (result,) = results(scene)
    names = ("engine", "torch", "blender")
    versions = [result[f"delta_strip_{name}_version"] for name in names]
    assert versions == ["0.0.7", "1.2.3", "4.2.0"]
