# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): sentences as lines; Blender's labels do not wrap."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import bpy

LINE_SCALE = 0.8  # lines of one text are closer than fields


@dataclass(frozen=True)
class Room:
    """What a region leaves for a line of text, at interface scale 1.

    Attributes:
        margin_px: Width that is not text: borders, the icon.
        character_px: Width of an average character there, measured.
        least_characters: A narrower region cuts lines off instead.
        width_px: Of a region that is not drawn, as in background mode.
    """

    margin_px: int
    character_px: float
    least_characters: int
    width_px: int


PREFERENCES = Room(90, 6.4, 30, 600)
SIDEBAR = Room(64, 6.1, 16, 300)


def draw_text(
    layout: Any,
    text: str,
    *,
    room: Room = PREFERENCES,
    icon: str = "NONE",
    width: int = 0,
    share: float = 1.0,
    most_lines: int = 14,
) -> None:
    """Draw sentences.

    Args:
        layout: Where.
        text: Line ends are kept.
        room: What the region is.
        icon: Before the first line.
        width: In px; 0 for the region's.
        share: Of that width, where text stands beside something else.
        most_lines: The rest is left out.
    """
    scale = bpy.context.preferences.system.ui_scale or 1.0  # 0 in background mode
    region = bpy.context.region
    width = width or (region.width if region else room.width_px)
    characters = int((width / scale - room.margin_px) * share / room.character_px)
    characters = max(room.least_characters, characters)
    column = layout.column(align=True)
    column.scale_y = LINE_SCALE
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, characters)]
    for line in lines[:most_lines]:
        column.label(text=line, icon=icon)
        icon = "NONE" if icon == "NONE" else "BLANK1"  # further lines align with the first
