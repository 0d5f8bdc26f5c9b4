# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): from the clip's size to the backbone's and back.

Padding repeats the last column and row of the scaled clip.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor
from torch.nn import functional

from ..working_size import PlannedSize, plan_size


class WorkingSize(PlannedSize):
    """The sizes of one edit, and how frames get from one to the other."""

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
    """`plan_size`, with what brings pixels there and back."""
    plan = plan_size(width, height, pixels=pixels, multiple=multiple, override=override)
    return WorkingSize(**dataclasses.asdict(plan))


def _resized(frames: Tensor, height: int, width: int) -> Tensor:
    if tuple(frames.shape[-2:]) == (height, width):
        return frames
    return functional.interpolate(
        frames, (height, width), mode="bicubic", antialias=True, align_corners=False
    )
