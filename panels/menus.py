# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): Delta Strip in the menus of strips, where F3 finds it too."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators import result_import, results, strips
from .results_panel import button

_MENUS = ("SEQUENCER_MT_strip", "SEQUENCER_MT_context_menu", "SEQUENCER_MT_preview_context_menu")


class DELTA_STRIP_MT_strip(bpy.types.Menu):
    """What can be done with the selected strips and the active result."""

    bl_label = "Delta Strip"

    def draw(self, context: Any) -> None:
        """Draw the menu."""
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("delta_strip.edit", text="Edit Selected Strips", icon="PLAY")
        layout.operator("delta_strip.test_frames", icon="RENDER_STILL")
        layout.operator("delta_strip.variations", icon="RENDERLAYERS")
        layout.operator("delta_strip.cancel", text="Cancel All Edits", icon="CANCEL")
        layout.separator()
        layout.operator("delta_strip.compare", icon="UV_SYNC_SELECT")
        active = strips.active(strips.sequencer_scene(context))
        if active is None or result_import.JOB_KEY not in active:
            return
        layout.separator()
        folder = results.folder_of(active)
        button(layout, "delta_strip.reuse_settings", folder, text="Reuse Settings of Result")
        button(layout, "delta_strip.reveal_result", folder, text="Open Folder of Result")


def draw_entry(menu: Any, _context: Any) -> None:
    """Our line at the end of one of Blender's menus."""
    menu.layout.separator()
    menu.layout.menu(DELTA_STRIP_MT_strip.__name__)


CLASSES = (DELTA_STRIP_MT_strip,)


def register() -> None:
    """Register the menu and put it into Blender's."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for name in _MENUS:
        getattr(bpy.types, name).append(draw_entry)


def unregister() -> None:
    """Undo `register`."""
    for name in _MENUS:
        getattr(bpy.types, name).remove(draw_entry)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
