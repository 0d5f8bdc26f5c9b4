# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the menus that choose the model, and the image model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..engine.errors import EngineError
from ..engine.model_folder import IMAGE_KIND, VIDEO_KIND
from ..operators import model_choice, strips
from ..operators.words import iface_


def draw_model(layout: Any) -> None:
    """The model that edits, as a menu of those that can; the Edit button says what is wrong."""
    try:
        title, icon = model_choice.chosen_card().title, "NONE"
    except EngineError:
        title, icon = model_choice.title_of(model_choice.chosen_name()), "ERROR"
    layout.menu(DELTA_STRIP_MT_model.__name__, text=title, icon=icon)


def draw_image_model(layout: Any) -> None:
    """A menu of the image models, where there is one to choose."""
    if model_choice.usable(IMAGE_KIND):
        layout.menu(DELTA_STRIP_MT_image_model.__name__, text="", icon="DOWNARROW_HLT")


def draw_choices(layout: Any, operator: str, choices: list[tuple[str, str]], chosen: str) -> None:
    """A line for each model.

    Args:
        layout: Of a menu.
        operator: Chooses a folder.
        choices: Folders with their titles.
        chosen: Folder of the chosen one.
    """
    titles = [title for _, title in choices]
    for folder, title in choices:
        text = title if titles.count(title) == 1 or not folder else f"{title} ({Path(folder).name})"
        icon = "RADIOBUT_ON" if folder == chosen else "RADIOBUT_OFF"
        layout.operator(operator, text=text, icon=icon).folder = folder


class DELTA_STRIP_MT_model(bpy.types.Menu):
    """The models that can edit."""

    bl_label = "Model"

    def draw(self, _context: Any) -> None:
        """Draw the menu."""
        layout: Any = self.layout
        entries = model_choice.usable(VIDEO_KIND)
        choices = [("", model_choice.demo_card().title)]
        choices += [(entry.folder, entry.title) for entry in entries]
        draw_choices(layout, "delta_strip.use_model", choices, model_choice.chosen_folder())
        layout.separator()
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("delta_strip.add_model_folder", icon="ADD")


class DELTA_STRIP_MT_image_model(bpy.types.Menu):
    """The image models that can guide Adaptive Sliding."""

    bl_label = "Image Model"

    def draw(self, context: Any) -> None:
        """Draw the menu."""
        layout: Any = self.layout
        choices = [("", iface_("The model's own image mode"))]
        choices += [(entry.folder, entry.title) for entry in model_choice.usable(IMAGE_KIND)]
        chosen = strips.sequencer_scene(context).delta_strip.assd_fields.image_backbone
        draw_choices(layout, "delta_strip.use_image_model", choices, chosen)


CLASSES = (DELTA_STRIP_MT_model, DELTA_STRIP_MT_image_model)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
