# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the tab “Delta Strip” in the sequencer's sidebar."""

from __future__ import annotations

from . import edit_panel, menus, queue_panel, results_panel, strip_panel, thumbnails

_MODULES = (edit_panel, queue_panel, thumbnails, results_panel, strip_panel, menus)


def register() -> None:
    """Register all panels, in the order of the tab."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Undo `register`, in reverse."""
    for module in reversed(_MODULES):
        module.unregister()
