# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through strips.py, never torch): whose pixels an edit works on.

Two spaces: in *media space* pictures have the media's own size and the result strip copies
transform, crop and flip; in *scene space* they are what the scene shows, at its size.
"""

from __future__ import annotations

from typing import Any

from . import curves, strips


def has_media_space(strip: Any) -> bool:
    """Whether the strip shows files whose size is known."""
    return strip.type in strips.PICTURE_FILES and min(strips.media_size(strip)) > 0


def fits(place: strips.Place, mask: strips.Place) -> bool:
    """Whether a mask strip's own pixels lie exactly on the clip's own pixels."""
    if not has_media_space(mask.strip) or mask.parents != place.parents:
        return False
    if mask.strip == place.strip:
        return True
    if moves(mask.strip) or moves(place.strip) or has_limited_modifier(mask.strip):
        return False
    same_size = strips.media_size(mask.strip) == strips.media_size(place.strip)
    return same_size and placement(mask.strip) == placement(place.strip)


def fills_scene(place: strips.Place) -> bool:
    """Whether the clip's own pixels are the scene's pixels."""
    neutral = (1.0, 1.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, False, False)
    same_size = strips.media_size(place.strip) == strips.scene_size(place.scene)
    is_neutral = placement(place.strip) == neutral and not moves(place.strip)
    return same_size and is_neutral and not place.parents


def moves(strip: Any) -> bool:
    """Whether the strip's placement is keyframed or driven."""
    return curves.is_animated(strip, strips.PLACEMENT)


def has_limited_modifier(strip: Any) -> bool:
    """Whether a modifier acts only where a mask says so; the mask lies on the scene's pixels."""
    masks = {"STRIP": "input_mask_strip", "ID": "input_mask_id"}
    return any(
        curves.may_act(strip, modifier)
        and getattr(modifier, masks[modifier.input_mask_type]) is not None
        for modifier in getattr(strip, "modifiers", None) or ()
    )


def placement(strip: Any) -> tuple[Any, ...]:
    """Transform, crop and flip of a strip, to compare."""
    move, crop = strip.transform, strip.crop
    return (
        *(move.scale_x, move.scale_y, move.offset_x, move.offset_y, move.rotation),
        *(crop.min_x, crop.max_x, crop.min_y, crop.max_y, strip.use_flip_x, strip.use_flip_y),
    )
