# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting a clip of any length into windows of the backbone's length (torch, never bpy).

All windows of a step optimise the same clean latents, so no seam can form between them the way it
does when clips are sampled piece by piece; a new phase every step moves the borders about.
"""

from __future__ import annotations

import torch
from torch import Tensor


def tile(frame_count: int, window: int, phase: int) -> list[range]:
    """Windows of one length that together cover the clip about once.

    Args:
        frame_count: Frames of the clip, at least 1.
        window: Frames the backbone sees at once.
        phase: First full window begins here, 0 … window − 1.

    Returns:
        Ranges of `min(window, frame_count)` frames. What a phase leaves over at either end is
        covered by a window that overlaps its neighbour, never by a shorter one: the model was
        trained on whole windows, and equal shapes keep the arithmetic of all passes equal.
    """
    length = min(window, frame_count)
    last = frame_count - length
    starts = list(range(phase % length, last + 1, length))
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    if starts[-1] < last:
        starts.append(last)
    return [range(start, start + length) for start in starts]


def spread(windows: list[range], most: int) -> list[range]:
    """At most `most` of the windows, evenly spread over the clip, ends included."""
    if len(windows) <= most:
        return windows
    if most == 1:
        return [windows[len(windows) // 2]]
    return [windows[round(i * (len(windows) - 1) / (most - 1))] for i in range(most)]


class WindowAverage:
    """Weighted mean of per-window values on the frames of the clip.

    Weights rise towards the middle of a window, where the model has seen frames on both sides, and
    are strictly positive, so every covered frame counts.
    """

    def __init__(self, like: Tensor) -> None:
        self._sum = torch.zeros_like(like)
        self._weight = torch.zeros(len(like), 1, 1, 1, device=like.device, dtype=like.dtype)

    def add(self, window: range, value: Tensor) -> None:
        """Add a window's value `(frames, channels, h, w)`."""
        length = len(window)
        weight = torch.tensor(
            [min(i + 1, length - i) for i in range(length)], dtype=value.dtype, device=value.device
        ).view(-1, 1, 1, 1)
        rows = slice(window.start, window.stop)
        self._sum[rows] += weight * value
        self._weight[rows] += weight

    def mean(self) -> Tensor:
        """The mean `(clip frames, channels, h, w)`; every frame must have been covered."""
        return self._sum / self._weight
