# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through strips.py, never torch): which mask the editor chose."""

from __future__ import annotations

from typing import Any, Literal

import bpy

from ..engine.errors import MaskError
from . import strips
from .source_export import coverage_gap
from .words import rpt_


def remember_strip(settings: Any, _context: Any) -> None:
    """Keep the chosen strip's UUID, so that renaming it changes nothing."""
    place = strips.find_named(settings.id_data, settings.mask_strip)
    settings.mask_uuid = strips.mark(place.strip) if place else ""


def key_of(settings: Any) -> str:
    """What tells the mask: a strip's UUID or a mask's name; empty for the strip's own alpha."""
    if settings.mask_kind == "data":
        return settings.mask_data.name if settings.mask_data else ""
    return settings.mask_uuid if settings.mask_kind == "strip" else ""


def choose(scene: Any, kind: str, key: str) -> bool:
    """Have `scene.delta_strip` name this mask again; whether it is there.

    Args:
        scene: Gets the settings.
        kind: As in `mask_kind`.
        key: As `key_of` gave it.
    """
    settings = scene.delta_strip
    settings.mask_kind = kind
    place = strips.find([scene], key) if kind == "strip" else None
    settings.mask_strip = place.strip.name if place else ""
    settings.mask_data = bpy.data.masks.get(key) if kind == "data" else None
    return bool(kind == "alpha" or place or settings.mask_data)


def mask_of(place: strips.Place) -> strips.Place | str | None:
    """What masks a strip: a strip (itself for its own alpha), the name of a mask, or nothing.

    Raises:
        MaskError: The chosen strip is gone.
    """
    values = place.scene.delta_strip
    if values.mask_kind == "alpha":
        return place
    if values.mask_kind == "data":
        return values.mask_data.name if values.mask_data else None
    return mask_place(place.scene)


def mask_channel(values: Any) -> Literal["luma", "alpha"]:
    """What of the mask's pictures is the mask."""
    if values.mask_kind == "alpha":
        return "alpha"
    return "luma" if values.mask_kind == "data" else values.mask_channel


def mask_place(scene: Any) -> strips.Place | None:
    """The chosen mask strip; None when the field is empty.

    Raises:
        MaskError: The chosen strip is gone.
    """
    settings = scene.delta_strip
    if not settings.mask_strip:
        return None
    place = strips.find([scene], settings.mask_uuid)
    place = place or strips.find_named(scene, settings.mask_strip)
    if place is None:
        raise MaskError(
            rpt_("There is no mask strip “{name}”.", name=settings.mask_strip),
            hint=rpt_("Choose another one, or leave the field empty."),
        )
    return place


def mask_gap(places: list[strips.Place]) -> str:
    """Where the mask strip does not cover these strips; empty where it does, or is another kind."""
    for place in places:
        try:
            mask = mask_of(place)
        except MaskError:
            return ""  # the button says what is wrong
        if isinstance(mask, strips.Place):
            frames = range(strips.left(place.strip), strips.right(place.strip))
            if gap := coverage_gap(mask, frames):
                return gap
    return ""
