# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): prompts of a strip's own, `strip.delta_strip`."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, PointerProperty, StringProperty

from . import strips


def _begin_with_the_scenes(own: Any, _context: Any) -> None:
    """Let the first words of a strip's own be those that hold for all."""
    common = own.id_data.delta_strip
    if own.use_own_prompts and not own.source_prompt and not own.target_prompt:
        own.source_prompt, own.target_prompt = common.source_prompt, common.target_prompt


class DELTA_STRIP_PG_strip(bpy.types.PropertyGroup):
    """What to change in one strip."""

    use_own_prompts: BoolProperty(
        name="Own Prompts",
        description="This strip has a Source and a Target of its own; the other strips keep theirs",
        default=False,
        update=_begin_with_the_scenes,
    )
    source_prompt: StringProperty(
        name="Source",
        description="What this strip shows now",
        options={"TEXTEDIT_UPDATE"},
    )
    target_prompt: StringProperty(
        name="Target",
        description="What this strip should show instead, with the one thing changed",
        options={"TEXTEDIT_UPDATE"},
    )


def prompts_of(place: strips.Place) -> tuple[str, str]:
    """Source and target prompt of a strip: its own, else the scene's."""
    own = place.strip.delta_strip
    words = own if own.use_own_prompts else place.scene.delta_strip
    return words.source_prompt.strip(), words.target_prompt.strip()


CLASSES = (DELTA_STRIP_PG_strip,)


def register() -> None:
    """Register the property group and put it on every strip."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    strips.strip_type().delta_strip = PointerProperty(type=DELTA_STRIP_PG_strip)


def unregister() -> None:
    """Undo `register`."""
    del strips.strip_type().delta_strip
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
