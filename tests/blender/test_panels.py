# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels and menus of results draw, without a window."""

import bpy
import pytest

from tests.blender.conftest import our_classes
from tests.blender.editing import press_edit, results, start
from tests.blender.layout import drawn
from tests.blender.timeline import children


@pytest.fixture
def panel(part):
    """Classes of our panels and menus by the end of their name."""

    def find(end: str):
        for module in ("results_panel", "strip_panel", "menus"):
            for cls in part(f"panels.{module}").CLASSES:
                if cls.__name__ == f"DELTA_STRIP_{end}":
                    return cls
        raise AssertionError(end)

    return find


@pytest.fixture
def listed(part, scene):
    part("operators.results").refresh()


def test_an_empty_list_says_what_will_be_there(panel, scene, listed):
    assert "Finished edits appear here" in drawn(panel("PT_results")).texts[0]


def test_the_chosen_result_is_drawn_with_its_buttons(panel, scene, clip):
    press_edit()
    layout = drawn(panel("PT_results"))
    assert "clip → a blue ball" in layout.texts
    assert "In the timeline as “clip · a blue ball”" in " ".join(layout.texts)
    assert layout.texts[1:5] == ["seed 0", "Insert", "Insert, Mute Source", "Reuse Settings"]
    assert {name.rpartition("_OT_")[2] for name in layout.operators} == {
        *("insert_result", "reuse_settings", "reveal_result", "delete_result")
    }


def test_a_result_without_its_source_offers_the_playhead_and_says_why(panel, scene, clip):
    press_edit()
    for strip in (clip, *results(scene)):
        children(scene.sequence_editor).remove(strip)
    layout = drawn(panel("PT_results"))
    assert "Insert at Playhead" in layout.texts
    assert "Insert, Mute Source" not in layout.texts
    assert "source strip is not in this file" in " ".join(layout.texts)


def test_the_active_result_strip_is_described(panel, scene, clip):
    cls = panel("PT_strip")
    assert not cls.poll(bpy.context)
    press_edit()
    scene.sequence_editor.active_strip = clip
    assert not cls.poll(bpy.context)
    scene.sequence_editor.active_strip = results(scene)[0]
    assert cls.poll(bpy.context)
    assert "Delta Denoising" in drawn(cls).texts


def test_the_menu_offers_more_for_a_result_strip(panel, scene, clip):
    menu = panel("MT_strip")
    assert drawn(menu).texts == [
        *("Edit Selected Strips", "Edit Test Frames", "Edit in Variations", "Cancel All Edits"),
        "Compare Source and Result",
    ]
    press_edit()
    scene.sequence_editor.active_strip = results(scene)[0]
    assert "Reuse Settings of Result" in drawn(menu).texts


def test_every_operator_and_every_field_has_a_tooltip():
    groups = [
        cls.bl_rna for cls in our_classes() if "_PG_" in cls.__name__ or "_pref" in cls.__name__
    ]
    operators = [getattr(bpy.ops.delta_strip, n).get_rna_type() for n in dir(bpy.ops.delta_strip)]
    assert len(groups) >= 4
    assert len(operators) >= 10
    inherited = bpy.types.AddonPreferences.bl_rna.properties
    for rna in operators:
        assert len(rna.description) > 10, rna.identifier
    for rna in (*operators, *groups):
        for prop in rna.properties:
            if not (prop.is_hidden or prop.is_readonly or prop.identifier in inherited):
                assert len(prop.description) > 10, f"{rna.identifier}.{prop.identifier}"
                for item in getattr(prop, "enum_items", ()):
                    assert len(item.description) > 3, f"{prop.identifier}: {item.identifier}"


def test_no_operator_is_called_by_a_word_alone_that_says_nothing_of_what_it_does():
    for name in dir(bpy.ops.delta_strip):
        label = getattr(bpy.ops.delta_strip, name).get_rna_type().name
        assert len(label.split()) > 1, name


def test_the_menu_cancels_all_and_only_while_there_is_something_to_cancel(part, clip, queue):
    assert not bpy.ops.delta_strip.cancel.poll()
    jobs = start(part) + start(part)
    assert bpy.ops.delta_strip.cancel("EXEC_DEFAULT") == {"FINISHED"}
    assert {job.state for job in jobs} == {"cancelled"}
