# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): finished edits with pictures, and what to do with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..operators import model_choice, result_import, results, settings
from ..operators.words import iface_
from ..operators.wrapped_text import LINE_SCALE
from . import thumbnails
from .edit_panel import SequencerPanel, draw_text

_PICTURE_SCALE = 6.0


class DELTA_STRIP_UL_results(bpy.types.UIList):
    """One line a result: its picture, strip and target."""

    def draw_item(
        self,
        _context: Any,
        layout: Any,
        _data: Any,
        item: Any,
        _icon: int,
        _active_data: Any,
        _active_property: str,
    ) -> None:
        """Draw a line."""
        result = results.found.get(item.folder)
        picture = thumbnails.icon(result.picture) if result else 0
        layout.label(text=item.name, icon_value=picture, translate=False)
        if result:  # variations have all else in common
            seed = layout.row()
            seed.alignment = "RIGHT"
            seed.label(text=iface_("seed {seed}", seed=result.job.seed))


class DELTA_STRIP_PT_results(SequencerPanel, bpy.types.Panel):
    """Finished edits, also from before a restart."""

    bl_label = "Results"
    bl_order = 3

    def draw_header_preset(self, _context: Any) -> None:
        """Look again."""
        layout: Any = self.layout
        layout.operator("delta_strip.refresh_results", text="", icon="FILE_REFRESH", emboss=False)

    def draw(self, context: Any) -> None:
        """Draw the list and the chosen result."""
        layout: Any = self.layout
        listed = context.window_manager.delta_strip_results
        if not len(listed.lines):
            draw_text(layout, iface_("Finished edits appear here, with their settings."))
            return
        layout.template_list(
            "DELTA_STRIP_UL_results", "", listed, "lines", listed, "index", rows=3, maxrows=8
        )
        if result := results.chosen_result():
            draw_result(layout.column(), result)


def draw_result(layout: Any, result: results.Result) -> None:
    """One result: what can be done with it, where it is, a larger picture, what made it."""
    placement = result_import.load_placement(result.folder)
    has_source = placement is not None and result_import.look_up_source(placement) is not None
    draw_buttons(layout.column(align=True), result.folder, has_source=has_source)
    if shown := results.strips_showing(result.folder):
        text = iface_("In the timeline as “{name}”", name=shown[0].strip.name)
        draw_text(layout, text, icon="CHECKMARK")
    elif not has_source:
        text = iface_("Its source strip is not in this file: it comes in at the playhead.")
        draw_text(layout, text, icon="INFO")
    if picture := thumbnails.icon(result.picture):
        layout.template_icon(icon_value=picture, scale=_PICTURE_SCALE)
    job = result.job
    facts = [
        ("Source", job.source_prompt),
        ("Target", job.target_prompt),
        ("Method", method_name(job.method)),
        ("Model", model_choice.title_of(job.backbone)),
        ("Seed", str(job.seed)),
        ("Frames", str(job.frame_count)),
        ("Finished", result.date),
    ]
    draw_facts(layout, facts)


def draw_buttons(layout: Any, folder: Path, *, has_source: bool) -> None:
    """What can be done with a result."""
    row = layout.row(align=True)
    text = "Insert" if has_source else "Insert at Playhead"
    button(row, "delta_strip.insert_result", folder, text=text, icon="IMPORT")
    if has_source:
        operator = button(row, "delta_strip.insert_result", folder, text="Insert, Mute Source")
        operator.mute_source = True
    row = layout.row(align=True)
    button(row, "delta_strip.reuse_settings", folder, text="Reuse Settings", icon="LOOP_BACK")
    button(row, "delta_strip.reveal_result", folder, icon="FILE_FOLDER")
    button(row, "delta_strip.delete_result", folder, icon="TRASH")


def button(layout: Any, operator: str, folder: Path, *, text: str = "", icon: str = "NONE") -> Any:
    """A button about one result; returns the operator's properties."""
    properties = layout.operator(operator, text=text, icon=icon)
    properties.job = str(folder)
    return properties


def draw_facts(layout: Any, facts: list[tuple[str, str]]) -> None:
    """Names and values in two columns; long values go on in further lines."""
    column = layout.column(align=True)
    for name, value in facts:
        split = column.split(factor=0.28)
        names = split.column(align=True)
        names.scale_y = LINE_SCALE
        names.label(text=name)
        draw_text(split, value, share=0.72)


def method_name(method: str) -> str:
    """A method as the panel calls it."""
    known: Any = settings.DELTA_STRIP_PG_settings.bl_rna.properties["method"]
    item = known.enum_items.get(method)
    return iface_(item.name) if item else method


CLASSES = (DELTA_STRIP_UL_results, DELTA_STRIP_PT_results)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
