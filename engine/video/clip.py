# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): what is known about a clip as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import MediaError

Picture = NDArray[np.uint8]
"""(height, width, 3 or 4), sRGB 0…255 as stored in the file; a fourth channel is straight alpha."""


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """Size, rate and length of a movie or an image sequence.

    Attributes:
        width: Width of a frame as shown (rotation applied), in px.
        height: Height of a frame as shown, in px.
        fps: Frames per second; the average where the rate varies.
        frame_count: Frames that can really be decoded.
        has_alpha: Frames come with a fourth channel.
    """

    width: int
    height: int
    fps: Fraction
    frame_count: int
    has_alpha: bool


def check_same_size(picture: Picture, first: Picture, where: str) -> None:
    """Refuse a frame whose size or number of channels differs from the first frame's.

    Raises:
        MediaError: naming the frame and both sizes.
    """
    if picture.shape == first.shape:
        return
    (height, width, channels), (first_height, first_width, first_channels) = (
        picture.shape,
        first.shape,
    )
    if (width, height) != (first_width, first_height):
        raise MediaError(
            f"{where} is {width}×{height} px, the first frame is {first_width}×{first_height} px.",
            hint="Bring all frames of the clip to one size.",
        )
    names = {3: "no alpha channel", 4: "an alpha channel"}
    raise MediaError(
        f"{where} has {names[channels]}, the first frame has {names[first_channels]}.",
        hint="Save all frames of the clip either with or without alpha.",
    )
