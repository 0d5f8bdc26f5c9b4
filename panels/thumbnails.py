# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): small pictures of files, for lists and panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy.utils.previews

from ..engine.reachable import has_file
from ..operators import results

_previews: Any = None


def icon(path: Path) -> int:
    """Number of the icon that shows a picture; 0, no icon, when it is not there.

    Blender reads the file in the background and shows the icon when it is ready.
    """
    key = str(path)
    if key in _previews:
        return _previews[key].icon_id
    return _previews.load(key, key, "IMAGE").icon_id if has_file(path) else 0


def forget() -> None:
    """Read all pictures again: on a busy machine Blender now and then drops one unread."""
    _previews.clear()


def register() -> None:
    """Make the store of pictures."""
    global _previews
    _previews = bpy.utils.previews.new()
    results.on_request.append(forget)


def unregister() -> None:
    """Free all pictures."""
    results.on_request.remove(forget)
    bpy.utils.previews.remove(_previews)
