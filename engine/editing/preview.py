# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of how far an edit is: one frame before and after (torch, never bpy)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..backbones.base import Backbone
from ..job_store import PREVIEW
from ..video.geometry import WorkingSize
from ..video.writing import write_frame
from .composite import composite
from .frames_in import SourceFrame, middle_of

SIDE_PX = 256
"""Longest side of each of the two pictures."""

LEAST_SECONDS = 2.0
MOST_SHARE = 0.02
"""A preview may take this share of the time since the last one."""


class Preview:
    """Writes `preview.png` into the job folder now and then; changes nothing of the edit.

    The picture holds the frame before and after: above each other where it is wider than high,
    else side by side.

    Args:
        backbone: Decodes.
        frame: The clip's middle frame, at full size.
        z_source: Latents of the clip, `(frames, channels, h, w)`.
        size: The working size the latents belong to.
        job_dir: The job folder.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        backbone: Backbone,
        frame: SourceFrame,
        z_source: Tensor,
        size: WorkingSize,
        job_dir: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backbone = backbone
        self._size = size
        self._path = job_dir / PREVIEW
        self._clock = clock
        self._next = float("-inf")
        self._source = _fitted(frame.colours())
        weights = frame.weights()
        self._mask = None if weights is None else _fitted(weights)
        self._z_source = z_source[middle_of(len(z_source))]
        self._before: Tensor | None = None

    def update(self, z_target: Tensor) -> bool:
        """Write the picture when it is time to.

        Args:
            z_target: The clip's edited latents, `(frames, channels, h, w)`.

        Returns:
            Whether it was written.

        Raises:
            StorageError: It cannot be written.
        """
        began = self._clock()
        if began < self._next:
            return False
        if self._before is None:
            self._before = self._decoded(self._z_source)
        after = self._decoded(z_target[middle_of(len(z_target))])
        edited = composite(self._source, after, self._before, self._mask)
        height, width = edited.shape[-2:]
        both = torch.cat([self._source, edited], dim=-2 if width > height else -1)
        levels = (both[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        write_frame(self._path, np.ascontiguousarray(levels))
        now = self._clock()
        self._next = now + max(LEAST_SECONDS, (now - began) / MOST_SHARE)
        return True

    def _decoded(self, latents: Tensor) -> Tensor:
        return self._size.crop(self._backbone.decode(latents[None])).cpu()


def _fitted(picture: Tensor) -> Tensor:
    """`(1, c, H, W)` in [0, 1], scaled down to `SIDE_PX`."""
    height, width = picture.shape[-2:]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return functional.interpolate(picture, size=size, mode="area").clamp(0, 1)
