# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): from the clip's size to the backbone's and back.

The clip is scaled to about the area its backbone works best at, aspect ratio kept, then padded at
the right and bottom by repeating its last column and row, up to a size the backbone takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from ..errors import InvalidJobError

NO_RESAMPLING = 1.25
"""A clip whose area is within this factor of the asked area keeps its pixels as they are."""


@dataclass(frozen=True, kw_only=True)
class WorkingSize:
    """The sizes of one edit, all in px; `working_size` makes them.

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

    def down(self, frames: Tensor) -> Tensor:
        """Frames or weights of the clip at the size the backbone sees.

        Equal sizes pass through bit-exactly; otherwise a bicubic filter with antialiasing.

        Args:
            frames: `(n, c, clip_height, clip_width)`, floats in [0, 1].

        Returns:
            `(n, c, padded_height, padded_width)` in [0, 1].
        """
        self._check(frames, self.clip_height, self.clip_width)
        content = _resized(frames, self.content_height, self.content_width)
        if content is not frames:
            # Bicubic filters overshoot at edges; backbones are trained on [0, 1].
            content = content.clamp(0, 1)
        right = self.padded_width - self.content_width
        bottom = self.padded_height - self.content_height
        if not right and not bottom:
            return content
        return functional.pad(content, (0, right, 0, bottom), mode="replicate")

    def crop(self, frames: Tensor) -> Tensor:
        """Without the padding: `(n, c, padded…)` → `(n, c, content_height, content_width)`."""
        self._check(frames, self.padded_height, self.padded_width)
        return frames[..., : self.content_height, : self.content_width]

    def up(self, frames: Tensor) -> Tensor:
        """Back to the clip's size; linear in `frames`, so it may overshoot [0, 1] at edges.

        Args:
            frames: `(n, c, padded_height, padded_width)`, any range.

        Returns:
            `(n, c, clip_height, clip_width)`; equal sizes pass through bit-exactly.
        """
        return _resized(self.crop(frames), self.clip_height, self.clip_width)

    @staticmethod
    def _check(frames: Tensor, height: int, width: int) -> None:
        if tuple(frames.shape[-2:]) != (height, width):
            raise ValueError(f"shape {tuple(frames.shape)}, {height}×{width} expected")


def working_size(
    width: int, height: int, *, pixels: int, multiple: int, override: tuple[int, int] | None = None
) -> WorkingSize:
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
    return WorkingSize(
        clip_width=width,
        clip_height=height,
        content_width=content[0],
        content_height=content[1],
        padded_width=math.ceil(content[0] / multiple) * multiple,
        padded_height=math.ceil(content[1] / multiple) * multiple,
    )


def _resized(frames: Tensor, height: int, width: int) -> Tensor:
    if tuple(frames.shape[-2:]) == (height, width):
        return frames
    return functional.interpolate(
        frames, (height, width), mode="bicubic", antialias=True, align_corners=False
    )
