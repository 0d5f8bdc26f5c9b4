# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the part of the preferences that lists the models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.errors import EngineError
from ..engine.model_folder import IMAGE_KIND
from . import model_choice
from .model_choice import known, problem_of
from .model_look import look
from .storage import megabytes
from .words import iface_
from .wrapped_text import draw_text

if TYPE_CHECKING:
    from ..engine.model_library import ModelEntry


def draw_models(layout: Any) -> None:
    """The models: which one edits, title, licence, size, state; and a button to add one."""
    chosen = model_choice.chosen_name()
    demo = model_choice.demo_card()
    row = layout.row(align=True)
    _draw_choice(row, "", is_chosen=chosen == demo.id)
    facts = (demo.title, demo.licence, iface_("comes with Delta Strip"))
    row.label(text=" · ".join(facts), translate=False)
    for entry in known.library.entries:
        _draw_entry(layout, entry, is_chosen=entry.folder == chosen)
    if chosen != demo.id and known.library.entry(chosen) is None:
        try:
            model_choice.chosen_card()
        except EngineError as error:
            draw_text(layout, str(error), icon="ERROR")
    for problem in filter(None, (known.problem, look.problem)):
        draw_text(layout, problem, icon="ERROR")
    if look.is_running:
        text = iface_("Looking at every file of {folder}…", folder=look.folder)
        draw_text(layout, text, icon="SORTTIME")
    layout.operator("delta_strip.add_model_folder", icon="ADD")


def _draw_entry(layout: Any, entry: ModelEntry, *, is_chosen: bool) -> None:
    row = layout.row(align=True)
    problem = problem_of(entry)
    facts = [entry.title, entry.card.licence if entry.card else "", megabytes(entry.bytes)]
    is_image = entry.card is not None and entry.card.kind == IMAGE_KIND
    if is_image:
        facts.append(iface_("image model, guides only"))
    text = " · ".join(filter(None, facts))
    if is_chosen or (not problem and not is_image):
        _draw_choice(row, entry.folder, is_chosen=is_chosen)
        row.label(text=text, icon="ERROR" if problem else "NONE", translate=False)
    else:
        row.label(text=text, icon="ERROR" if problem else "IMAGE_DATA", translate=False)
    verify = row.operator("delta_strip.verify_model_folder", text="", icon="VIEWZOOM")
    verify.folder = entry.folder
    remove = row.operator("delta_strip.remove_model_folder", text="", icon="X")
    remove.folder = entry.folder
    draw_text(layout, entry.folder, icon="BLANK1")
    if problem:
        draw_text(layout, problem, icon="BLANK1")
    elif entry.card is not None and entry.card.note:
        draw_text(layout, entry.card.note, icon="BLANK1")


def _draw_choice(row: Any, folder: str, *, is_chosen: bool) -> None:
    icon = "RADIOBUT_ON" if is_chosen else "RADIOBUT_OFF"
    row.operator("delta_strip.use_model", text="", icon=icon, emboss=False).folder = folder
