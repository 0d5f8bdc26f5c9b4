# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the chosen method's numbers, and the editor's own presets."""

from __future__ import annotations

from typing import Any

import bpy
from bl_ui.utils import PresetPanel

from ..engine.errors import EngineError
from ..operators import method_fields, presets, strips
from ..operators.words import iface_
from .edit_panel import SequencerPanel, draw_text
from .model_menus import draw_image_model

IMAGE_MODEL = "image_backbone"  # of AssdSettings


class DELTA_STRIP_PT_presets(PresetPanel, bpy.types.Panel):
    """The editor's own presets."""

    bl_label = "Presets"
    preset_subdir = presets.FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "delta_strip.preset_add"

    @classmethod
    def post_cb(cls, _context: Any, _filepath: str) -> None:
        """Loading one is a step that can be undone."""
        bpy.ops.ed.undo_push(message="Load preset")


class DELTA_STRIP_PT_advanced(SequencerPanel, bpy.types.Panel):
    """Numbers of the chosen method."""

    bl_label = "Advanced"
    bl_parent_id = "DELTA_STRIP_PT_edit"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - how Blender's classes are written

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = strips.sequencer_scene(context).delta_strip
        draw_reset(layout, settings)
        layout.prop(settings, "area_scale")
        draw_section(layout, settings, method_fields.COMMON)
        if settings.method in method_fields.sections():
            layout.label(text=method_fields.title(settings.method))
            draw_section(layout, settings, settings.method)


def draw_reset(layout: Any, settings: Any) -> None:
    """What is wrong with the numbers, and a way back when something was changed."""
    try:
        method_fields.edit_settings(settings)
    except EngineError as error:
        column = layout.column()
        column.alert = True
        draw_text(column, error.message, icon="ERROR")
    if settings.changes or settings.is_property_set("area_scale"):
        layout.operator("delta_strip.reset_settings", text="Use Recommended", icon="LOOP_BACK")


def draw_section(layout: Any, settings: Any, section: str) -> None:
    """The fields of a section that have an effect; changed ones with a way back."""
    group = getattr(settings, method_fields.group_name(section))
    column = layout.column()
    for field in method_fields.fields_of(section):
        if not method_fields.has_effect(settings, section, field.metadata["info"]):
            continue
        row = column.row(align=True)
        if field.name == IMAGE_MODEL:
            row.prop(group, field.name, placeholder=iface_("The model's own image mode"))
            draw_image_model(row)
        else:
            row.prop(group, field.name)
        if method_fields.is_changed(settings, section, field.name):
            operator = row.operator("delta_strip.reset_settings", text="", icon="LOOP_BACK")
            operator.section, operator.field = section, field.name


CLASSES = (DELTA_STRIP_PT_presets, DELTA_STRIP_PT_advanced)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
