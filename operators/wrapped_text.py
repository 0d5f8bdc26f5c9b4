# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): sentences as lines; Blender's labels do not wrap."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

LINE_SCALE = 0.8  # lines of one text are closer than fields
_UNDRAWN_PX = 600  # a width where there is no region, as in background mode


def draw_text(
    layout: Any,
    text: str,
    *,
    icon: str = "NONE",
    width: int = 0,
    share: float = 1.0,
    margin_px: int = 90,
    character_px: float = 6.4,
    least_characters: int = 30,
    most_lines: int = 14,
) -> None:
    """Draw sentences; the measures are those of the preferences, at interface scale 1.

    Args:
        layout: Where.
        text: Line ends are kept.
        icon: Before the first line.
        width: In px; 0 for the region's.
        share: Of that width, where text stands beside something else.
        margin_px: Width that is not text: borders, the icon.
        character_px: Width of an average character there.
        least_characters: A narrower region cuts lines off instead.
        most_lines: The rest is left out.
    """
    scale = bpy.context.preferences.system.ui_scale or 1.0  # 0 in background mode
    region = bpy.context.region
    width = width or (region.width if region else _UNDRAWN_PX)
    characters = int((width / scale - margin_px) * share / character_px)
    characters = max(least_characters, characters)
    column = layout.column(align=True)
    column.scale_y = LINE_SCALE
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, characters)]
    for line in lines[:most_lines]:
        column.label(text=line, icon=icon)
        icon = "NONE" if icon == "NONE" else "BLANK1"  # further lines align with the first
