# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the editor's own presets, and back to the recommendation.

The presets are Blender's own kind: small scripts in its folder of user presets.
"""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bl_operators.presets import AddPresetBase
from bpy.props import StringProperty

from . import method_fields, strips

FOLDER = "delta_strip"
MENU = "DELTA_STRIP_PT_presets"
_SCENE = "(getattr(bpy.context, 'sequencer_scene', None) or bpy.context.scene)"


class DELTA_STRIP_OT_preset_add(AddPresetBase, bpy.types.Operator):
    """Keep method, strength and numbers under a name, or remove what is kept"""

    bl_idname = "delta_strip.preset_add"
    bl_label = "Add Preset"
    preset_menu = MENU
    preset_subdir = FOLDER
    preset_defines: ClassVar = [f"settings = {_SCENE}.delta_strip"]
    preset_values: ClassVar = [
        f"settings.{name}" for name in ("method", "preset", "strength", "area_scale", "changes")
    ]


class DELTA_STRIP_OT_reset_settings(bpy.types.Operator):
    """Go back to what the model recommends"""

    bl_idname = "delta_strip.reset_settings"
    bl_label = "Use Recommended Settings"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    section: StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    field: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: Any) -> set[str]:
        """Reset the named field, or all."""
        settings = strips.sequencer_scene(context).delta_strip
        if self.field:
            method_fields.reset(settings, self.section, self.field)
        else:
            settings.changes = ""
            settings.property_unset("area_scale")
        return {"FINISHED"}


CLASSES = (DELTA_STRIP_OT_preset_add, DELTA_STRIP_OT_reset_settings)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
