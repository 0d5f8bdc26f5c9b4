# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender extension (imports nothing at module level): Delta Strip edits video strips.

Everything is imported inside `register`, because a plain Python (a test run, a type checker) also
imports this file and has no bpy.
"""

from __future__ import annotations


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import operators, panels, preferences

    preferences.register()
    operators.register()
    panels.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled; leaves nothing behind."""
    from . import operators, panels, preferences

    panels.unregister()
    operators.unregister()
    preferences.unregister()
