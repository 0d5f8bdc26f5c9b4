# SPDX-License-Identifier: GPL-3.0-or-later
"""One key shows the source and its results in turn."""

import bpy
import pytest

from tests.blender.editing import press_edit, results
from tests.blender.pictures import write_sequence
from tests.blender.timeline import add_images, children, select_only


def visible(scene) -> list[str]:
    return sorted(s.name for s in children(scene.sequence_editor) if not s.mute)


@pytest.fixture
def edited(scene, clip):
    """A source with one result, the playhead on both."""
    press_edit()
    scene.frame_set(12)
    return results(scene)[0].name


def compare() -> set:
    return bpy.ops.delta_strip.compare("EXEC_DEFAULT")


def test_source_and_result_are_shown_in_turn(scene, edited):
    assert visible(scene) == ["clip", edited]
    compare()
    assert visible(scene) == ["clip"]
    compare()
    assert visible(scene) == ["clip", edited]


def test_a_source_that_was_muted_is_muted_again_with_its_result(scene, clip, edited):
    clip.mute = True
    for shown in (["clip"], [edited], ["clip"], [edited]):
        compare()
        assert visible(scene) == shown


def test_several_results_are_shown_one_after_the_other(scene, clip, edited):
    clip.mute = True
    press_edit()
    names = [s.name for s in sorted(results(scene), key=lambda s: s.channel)]
    for shown in ("clip", *names, "clip", names[0]):
        compare()
        assert visible(scene) == [shown]


def test_results_whose_source_is_gone_are_compared_with_each_other(scene, clip, edited):
    press_edit()
    children(scene.sequence_editor).remove(clip)
    names = [s.name for s in sorted(results(scene), key=lambda s: s.channel)]
    compare()
    assert visible(scene) == [names[0]]
    compare()
    assert visible(scene) == [names[1]]


def test_the_active_strip_says_which_of_two_edits_is_compared(scene, clip, edited, tmp_path):
    other = add_images(
        scene.sequence_editor, write_sequence(tmp_path / "o", 6), start=10, channel=5, name="other"
    )
    select_only(scene, other)
    press_edit()
    scene.sequence_editor.active_strip = clip
    compare()
    assert edited not in visible(scene)
    assert len(visible(scene)) == 3


def test_other_strips_and_other_frames_are_left_alone(scene, clip, edited, tmp_path):
    add_images(scene.sequence_editor, write_sequence(tmp_path / "o", 6), start=10, channel=5)
    scene.sequence_editor.active_strip = None
    compare()
    assert visible(scene) == ["clip", "images"]
    scene.frame_set(16)
    assert not bpy.ops.delta_strip.compare.poll()


def test_comparing_is_one_undo_step(scene, edited):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.delta_strip.compare("EXEC_DEFAULT", True)
    assert visible(bpy.context.scene) == ["clip"]
    bpy.ops.ed.undo()
    assert visible(bpy.context.scene) == ["clip", edited]


def test_there_is_nothing_to_compare_without_strips(scene):
    assert not bpy.ops.delta_strip.compare.poll()


def test_the_key_is_in_the_timelines_and_in_the_previews_map(part):
    keyconfigs = bpy.context.window_manager.keyconfigs
    for name in part("operators.compare")._KEYMAPS:
        items = keyconfigs.addon.keymaps[name].keymap_items
        assert [i.type for i in items if i.idname == "delta_strip.compare"] == ["V"]
        # Blender's own map has this name, or the key would never be heard.
        assert name in keyconfigs.default.keymaps
