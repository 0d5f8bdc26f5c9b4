# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): everything that acts on strips, jobs and the engine."""

from __future__ import annotations

from . import (
    background_work,
    compare,
    diagnostics,
    edit,
    model_folders,
    presets,
    queue_operators,
    recovery,
    result_buttons,
    results,
    settings,
    setup_operators,
    storage,
    strip_prompts,
)

_MODULES = (
    settings,
    strip_prompts,
    setup_operators,
    edit,
    queue_operators,
    presets,
    recovery,
    results,
    result_buttons,
    compare,
    storage,
    diagnostics,
    model_folders,
)


def register() -> None:
    """Register all, in order."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Undo `register`, in reverse."""
    for module in reversed(_MODULES):
        module.unregister()
    background_work.stop_showing()
