"""Results find their strip again: in copied scenes, and in files that are saved meanwhile."""

import bpy
import pytest

from tests.blender.editing import poll_until, results, start


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
    edit = part("operators.edit")
    part("operators.strips").settle(bpy.data.scenes)
    place = part("operators.strips").find_named(copy, "clip")
    second = edit.queue_job(place, part("operators.source_export").plan_export(place))
    poll_until(part, lambda: not (first.is_open or second.is_open))
    assert [s["delta_strip_job"] for s in results(scene)] == [str(first.folder)]
    assert [s["delta_strip_job"] for s in results(copy)] == [str(second.folder)]
