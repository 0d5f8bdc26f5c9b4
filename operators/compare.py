# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): shows source and result in turn, with one key.

What is seen is what is not muted. With several results of one source the key goes through all.
"""

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from . import result_import, strips
from .words import rpt_

KEY = "V"
# Timeline and preview; the preview's map was renamed in 4.5.
_KEYMAPS = ("Sequencer", "Preview" if bpy.app.version >= (4, 5) else "SequencerPreview")
_SOURCE = "delta_strip_source"
_WAS_MUTED = "delta_strip_source_was_muted"

_key_items: list[tuple[Any, Any]] = []


def versions(scene: Any) -> tuple[Any, list[Any]]:
    """A source under the playhead, None when it is not there, and its results from the lowest.

    The active strip's group comes first, then that of the topmost result.
    """
    here = [strip for strip in _level(scene) if _is_at(strip, scene.frame_current)]
    here.sort(key=lambda strip: strip.channel)
    keys = [strip.get(_SOURCE) for strip in here if strip.get(result_import.JOB_KEY)]
    if not keys:
        return None, []
    active = strips.active(scene)
    wanted = (active.get(_SOURCE), active.get(strips.UUID_KEY)) if active else ()
    key = next((key for key in wanted if key in keys), keys[-1])
    source = next((strip for strip in here if strip.get(strips.UUID_KEY) == key), None)
    return source, [strip for strip in here if strip.get(_SOURCE) == key]


def show_next(scene: Any) -> str:
    """Show the version after the one that is seen now; returns its strip's name."""
    source, results = versions(scene)
    shown = [source, *results] if source else results
    seen = [number for number, strip in enumerate(shown) if not strip.mute]
    chosen = shown[(seen[-1] + 1) % len(shown)] if seen else shown[0]
    for strip in results:
        strip.mute = strip != chosen
    if source is not None and chosen == source:
        source[_WAS_MUTED] = source.mute
        source.mute = False
    elif source is not None and _WAS_MUTED in source:
        source.mute = bool(source.pop(_WAS_MUTED))
    return chosen.name


def _level(scene: Any) -> list[Any]:
    """Strips at the level the editor is in."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(strips.children(editor.meta_stack[-1] if len(editor.meta_stack) else editor))


def _is_at(strip: Any, frame: int) -> bool:
    return strips.left(strip) <= frame < strips.right(strip)


class DELTA_STRIP_OT_compare(bpy.types.Operator):
    """Show the source or its results at the playhead, one after the other, by muting the others"""

    bl_idname = "delta_strip.compare"
    bl_label = "Compare Source and Result"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Whether there is something to compare, and no text is being typed in the preview."""
        scene = strips.sequencer_scene(context)
        active = strips.active(scene)
        if active is not None and active.type == "TEXT" and _is_preview(context):
            return False
        source, results = versions(scene)
        if len(results) + (source is not None) < 2:
            cls.poll_message_set(rpt_("There is no strip with a result under the playhead"))
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        """Show the next version."""
        name = show_next(strips.sequencer_scene(context))
        self.report({"INFO"}, rpt_("Shown: {name}", name=name))
        return {"FINISHED"}


def _is_preview(context: Any) -> bool:
    return context.region is not None and context.region.type == "PREVIEW"


CLASSES = (DELTA_STRIP_OT_compare,)


def register() -> None:
    """Register the operator and its key."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    config = bpy.context.window_manager.keyconfigs.addon
    if config is None:
        return
    for name in _KEYMAPS:
        keymap = config.keymaps.new(name=name, space_type="SEQUENCE_EDITOR")
        item = keymap.keymap_items.new(DELTA_STRIP_OT_compare.bl_idname, KEY, "PRESS")
        _key_items.append((keymap, item))


def unregister() -> None:
    """Undo `register`."""
    for keymap, item in _key_items:
        keymap.keymap_items.remove(item)
    _key_items.clear()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
