# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the size a backbone works at, from the clip's size.

The clip is scaled to about the area its backbone works best at, aspect ratio kept, then padded at
the right and bottom up to a size the backbone takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import InvalidJobError

NO_RESAMPLING = 1.25
"""A clip whose area is within this factor of the asked area keeps its pixels as they are."""


@dataclass(frozen=True, kw_only=True)
class PlannedSize:
    """The sizes of one edit, all in px; `plan_size` makes them.

    Attributes:
        clip_width: Width of the clip.
        clip_height: Height of the clip.
        content_width: Width the clip is scaled to.
        content_height: Height the clip is scaled to.
        padded_width: Width the backbone sees, content plus padding.
        padded_height: Height the backbone sees.
    """

    clip_width: int
    clip_height: int
    content_width: int
    content_height: int
    padded_width: int
    padded_height: int


def plan_size(
    width: int, height: int, *, pixels: int, multiple: int, override: tuple[int, int] | None = None
) -> PlannedSize:
    """The size a backbone works at for a clip.

    Args:
        width: Width of the clip, in px.
        height: Height of the clip, in px.
        pixels: Area the backbone works best at, in px; the clip is scaled down or up to it, unless
            its area is within `NO_RESAMPLING` already.
        multiple: What width and height must be multiples of, in px.
        override: Width and height to use instead of `pixels`: the clip is fitted inside, whole.

    Raises:
        InvalidJobError: the clip is so long and narrow that its shorter side vanishes.
    """
    if override is not None:
        scale = min(override[0] / width, override[1] / height)
    else:
        ratio = pixels / (width * height)
        scale = 1.0 if 1 / NO_RESAMPLING <= ratio <= NO_RESAMPLING else math.sqrt(ratio)
    content = (max(1, round(width * scale)), max(1, round(height * scale)))
    # A clip smaller than one multiple is padded; one that shrinks below it has lost its content.
    if min(content) < multiple and scale < 1:
        raise InvalidJobError(
            f"The clip of {width}×{height} px would be worked on at {content[0]}×{content[1]} px; "
            f"the shorter side needs {multiple} px.",
            hint="Crop the clip to a less narrow shape, or ask for a larger working size.",
        )
    return PlannedSize(
        clip_width=width,
        clip_height=height,
        content_width=content[0],
        content_height=content[1],
        padded_width=math.ceil(content[0] / multiple) * multiple,
        padded_height=math.ceil(content[1] / multiple) * multiple,
    )
