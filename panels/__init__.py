# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the tab “Delta Strip” in the sequencer's sidebar."""

from __future__ import annotations

from . import (
    advanced_panel,
    edit_panel,
    live_preview,
    menus,
    model_menus,
    queue_panel,
    results_panel,
    status_bar,
    strip_panel,
    thumbnails,
)

_MODULES = (
    model_menus,
    edit_panel,
    advanced_panel,
    live_preview,
    queue_panel,
    thumbnails,
    results_panel,
    strip_panel,
    menus,
    status_bar,
)


def register() -> None:
    """Register all panels, in the order of the tab."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Undo `register`, in reverse."""
    for module in reversed(_MODULES):
        module.unregister()
