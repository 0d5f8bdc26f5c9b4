# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): what made the active result strip."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators import model_choice, result_import, results, strips
from .edit_panel import SequencerPanel
from .results_panel import button, draw_facts, method_name

_PREFIX = "delta_strip_"


class DELTA_STRIP_PT_strip(SequencerPanel, bpy.types.Panel):
    """Source, prompts, seed, method and versions of the active strip, when it is a result."""

    bl_label = "Active Result Strip"
    bl_order = 4

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Shown for result strips alone."""
        active = strips.active(strips.sequencer_scene(context))
        return active is not None and result_import.JOB_KEY in active

    def draw(self, context: Any) -> None:
        """Draw what is written on the strip."""
        layout: Any = self.layout
        scene = strips.sequencer_scene(context)
        strip = strips.active(scene)
        draw_facts(layout, facts(scene, strip))
        folder = results.folder_of(strip)
        row = layout.row(align=True)
        button(row, "delta_strip.reuse_settings", folder, text="Reuse Settings", icon="LOOP_BACK")
        button(row, "delta_strip.reveal_result", folder, icon="FILE_FOLDER")
        layout.operator("delta_strip.compare", text="Compare with Source", icon="UV_SYNC_SELECT")


def facts(scene: Any, strip: Any) -> list[tuple[str, str]]:
    """What is written on a result strip, as names and values."""
    source = strips.find([scene], strip.get(_PREFIX + "source", ""))
    backbone = strip.get(_PREFIX + "backbone", "")
    written = {
        "Made from": source.strip.name if source else strip.get(_PREFIX + "source_name", ""),
        "Source": strip.get(_PREFIX + "source_prompt", ""),
        "Target": strip.get(_PREFIX + "target_prompt", ""),
        "Method": method_name(strip.get(_PREFIX + "method", "")),
        "Seed": strip.get(_PREFIX + "seed", ""),
        "Model": model_choice.title_of(backbone) if backbone else "",
        "Delta Strip": strip.get(_PREFIX + "engine_version", ""),
        "PyTorch": strip.get(_PREFIX + "torch_version", ""),
        "Blender": strip.get(_PREFIX + "blender_version", ""),
    }
    return [(name, value) for name, value in written.items() if value]


CLASSES = (DELTA_STRIP_PT_strip,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
