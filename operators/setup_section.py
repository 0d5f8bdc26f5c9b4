# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the engine's part of the preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from .. import preferences
from . import engine_setup
from .setup_task import machine, setup
from .words import iface_, n_
from .wrapped_text import draw_text

if TYPE_CHECKING:  # imported late: 2 ms that Blender's start need not spend
    from ..engine.environment import EnvironmentState
    from ..engine.install_plan import InstallPlan

OFFLINE = n_("Online access is off in Blender's preferences")
_DIALOG_PX = 570  # of Blender's dialogs in setup_operators, which have a smaller margin


def draw_plan(layout: Any, plan: InstallPlan) -> None:
    """What an installation would need and find."""
    for fact in plan.facts:
        draw_text(layout, fact, icon="DOT", width=_DIALOG_PX)
    if machine.is_running:
        layout.label(text="Looking for GPUs…", icon="SORTTIME")
    for problem in plan.problems:
        draw_text(layout, problem, icon="ERROR", width=_DIALOG_PX)
    if engine_setup.known_state().is_ready:
        text = iface_("The engine that you have stays until the new one has passed its test.")
        draw_text(layout, text, icon="DOT", width=_DIALOG_PX)


def draw_engine(layout: Any) -> None:
    """State, progress and buttons of the engine."""
    column = layout.column()
    if setup.is_running:
        _draw_progress(column)
        return
    machine.look()
    text, is_ready = engine_setup.status_line()
    draw_text(column, text, icon="CHECKMARK" if is_ready else "INFO")
    if is_ready and preferences.is_managed() and (state := engine_setup.known_state()).is_ready:
        draw_text(column, describe(state), icon="BLANK1")
    if preferences.is_managed() and engine_setup.was_interrupted():
        text = iface_(
            "The last installation was interrupted. Install again to go on: packages that had "
            "been downloaded are not downloaded again."
        )
        draw_text(column, text, icon="INFO")
    for gpu in machine.gpus:
        draw_text(column, gpu.problem or gpu.description, icon="ERROR" if gpu.problem else "DOT")
    if setup.problem:
        draw_text(column.box(), setup.problem, icon="ERROR")
    elif setup.outcome:
        draw_text(column, iface_(setup.outcome), icon="CHECKMARK")
    _draw_buttons(column)


def describe(state: EnvironmentState) -> str:
    """Build, versions and size of an environment."""
    torch = state.packages.get("torch", "")
    build = iface_("CUDA build") if state.flavour == "cuda" else iface_("processor build")
    size = f" · {state.bytes / 1e9:.1f} GB" if state.bytes else ""
    return f"torch {torch}, {build} · Python {state.python_version}{size}"


def _draw_progress(layout: Any) -> None:
    row = layout.row(align=True)
    if setup.progress is not None:
        row.progress(factor=setup.progress.factor, text=setup.progress.text)
    else:
        row.label(text=setup.line[:120] or "Working…", icon="SORTTIME")
    row.operator("delta_strip.cancel_setup", text="", icon="CANCEL")
    if setup.progress is not None and not setup.line.startswith(setup.progress.text):
        layout.label(text=setup.line[:120])


def _draw_buttons(layout: Any) -> None:
    is_managed = preferences.is_managed()
    is_there = not is_managed or engine_setup.known_state().status != "missing"
    if is_managed:
        row = layout.row(align=True)
        row.scale_y = 1.0 if is_there else 1.3
        row.operator("delta_strip.install_engine", icon="IMPORT")
        row.operator(
            "delta_strip.install_engine_folder", text="Install from Folder", icon="FILE_FOLDER"
        )
        row.operator("delta_strip.save_engine_packages", text="Save Packages", icon="EXPORT")
        if not bpy.app.online_access:
            text = iface_("Online access is off in Blender's preferences: see Network below.")
            draw_text(layout, text, icon="INTERNET_OFFLINE")
    row = layout.row(align=True)
    if is_there:
        row.operator("delta_strip.verify_engine", text="Verify", icon="VIEWZOOM")
    if is_there and is_managed:
        row.operator("delta_strip.repair_engine", text="Repair", icon="TOOL_SETTINGS")
        row.operator("delta_strip.remove_engine", text="Remove", icon="TRASH")
    if engine_setup.setup_log().exists():
        row.operator("delta_strip.open_setup_log", text="Open Setup Log", icon="TEXT")
