# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): where a clip may change, as weights from 0 to 1.

Where the mask says 0 the weight is exactly 0, whatever feather and resizing do, because the result
copies the source's pixels there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import MaskError
from ..media import Mask
from .clip import Picture
from .frames import read_frames

Weights = NDArray[np.float32]
"""(height, width) in [0, 1]: 1 may change, 0 stays bit-exact."""

Warn = Callable[[str, str], None]
"""Takes the message and the hint of a warning."""

SUPPORT = 1 / 16
"""Mask values above this are inside for the feather; lossy movies ring faintly around an edge."""

ASPECT_TOLERANCE = 0.01
"""Largest relative difference of aspect ratios at which a mask of another size is still resized."""

LATENT_THRESHOLD = 0.1
"""A latent may change when any pixel it covers has at least this weight."""


def read_masks(
    mask: Mask, job_dir: Path, *, frame_count: int, width: int, height: int, warn: Warn
) -> Iterator[Weights]:
    """The weights of each frame of a clip.

    Args:
        mask: Pictures or a box, and how to read them.
        job_dir: Folder that relative paths count from.
        frame_count: Frames of the clip; a mask with fewer has its last one held, with a warning.
        width: Width of the clip, in px; pictures of another size and the same aspect ratio are
            resized, with a warning.
        height: Height of the clip, in px.
        warn: Called at most once for each kind of mismatch.

    Yields:
        float32 (height, width) in [0, 1], exactly 0 where the mask is 0; one array may come again.

    Raises:
        MaskError: another aspect ratio, a box outside of the picture, or no alpha channel.
        MediaError: as `engine.video.frames.read_frames`.
    """
    if mask.box is not None:
        weights = _finish(_box(mask.box, width, height, warn), mask, width, height)
        for _ in range(frame_count):
            yield weights
        return
    assert mask.media is not None
    last: Picture | None = None
    weights: Weights | None = None
    resized = False
    pictures = read_frames(mask.media, job_dir)
    for _, picture in zip(range(frame_count), pictures, strict=False):
        if weights is None or last is None or not np.array_equal(picture, last):
            if picture.shape[:2] != (height, width) and not resized:
                _check_size(picture, width, height, warn)
                resized = True
            weights = _finish(_values(picture, mask), mask, width, height)
        last = picture
        yield weights
    missing = frame_count - len(mask.media.frames)
    if missing > 0 and weights is not None:
        warn(
            f"The mask has {len(mask.media.frames)} frames, the clip {frame_count}: "
            f"the mask's last frame is held for the other {missing}.",
            "Make the mask as long as the clip if it should move to the end.",
        )
        for _ in range(missing):
            yield weights


def mask_coverage(
    mask: Mask, job_dir: Path, *, frame_count: int, width: int, height: int, warn: Warn
) -> float:
    """The share of the clip that may change; reads the whole mask, before the work starts.

    Args: as `read_masks`.

    Returns:
        Mean weight over all pixels and frames, above 0 and up to 1.

    Raises:
        MaskError: as `read_masks`, and when the mask covers nothing in any frame.
        MediaError: as `engine.video.frames.read_frames`.
    """
    total = 0.0
    for weights in read_masks(
        mask, job_dir, frame_count=frame_count, width=width, height=height, warn=warn
    ):
        total += float(weights.sum(dtype=np.float64))
    if total == 0.0:
        hint = "Paint white where the clip may change, or invert the mask."
        if mask.feather_px > 0:
            hint = f"Reduce the feather of {mask.feather_px:g} px; check that white may change."
        raise MaskError(f"The mask covers nothing in any of {frame_count} frames.", hint=hint)
    return total / (frame_count * width * height)


def latent_mask(weights: Tensor, factor: int) -> Tensor:
    """Which latents may change.

    A latent is free when any pixel of its cell has a weight of `LATENT_THRESHOLD` or more, so that
    thin objects survive; what it spills over the mask's edge is taken back by the pixel composite.

    Args:
        weights: `(frames, h, w)` in [0, 1], h and w multiples of `factor`.
        factor: Pixels per latent, in each direction.

    Returns:
        `(frames, h / factor, w / factor)`, values 0 and 1, type and device of `weights`.
    """
    height, width = weights.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(f"{width}×{height} px is not a multiple of {factor}")
    largest = functional.max_pool2d(weights[:, None], factor)[:, 0]
    return (largest >= LATENT_THRESHOLD).to(weights.dtype)


def _values(picture: Picture, mask: Mask) -> NDArray[np.float64]:
    if mask.channel == "alpha":
        if picture.shape[2] != 4:
            raise MaskError(
                "The mask is to be read from alpha, and its pictures have no alpha channel.",
                hint="Choose luma, or save the mask's pictures with alpha.",
            )
        return picture[:, :, 3] / 255.0
    # Rec. 709 weights as whole numbers, so that white is exactly 1 and an inverted white exactly 0.
    wide = picture.astype(np.int64)
    total = wide[:, :, 0] * 2126 + wide[:, :, 1] * 7152 + wide[:, :, 2] * 722
    return total / (10000 * 255)


def _box(
    box: tuple[int, int, int, int], width: int, height: int, warn: Warn
) -> NDArray[np.float64]:
    x, y, box_width, box_height = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + box_width, width), min(y + box_height, height)
    text = f"The mask box {box_width}×{box_height} px at ({x}, {y})"
    if right <= left or bottom <= top:
        raise MaskError(
            f"{text} lies outside of the picture of {width}×{height} px.",
            hint="x and y count from the top left corner.",
        )
    if (left, top, right, bottom) != (x, y, x + box_width, y + box_height):
        warn(
            f"{text} leaves the picture of {width}×{height} px; "
            f"{right - left}×{bottom - top} px of it remain.",
            "x and y count from the top left corner.",
        )
    values = np.zeros((height, width))
    values[top:bottom, left:right] = 1.0
    return values


def _check_size(picture: Picture, width: int, height: int, warn: Warn) -> None:
    mask_height, mask_width = picture.shape[:2]
    ratio = (mask_width / mask_height) / (width / height)
    sizes = f"The mask is {mask_width}×{mask_height} px, the clip {width}×{height} px"
    if abs(math.log(ratio)) > math.log1p(ASPECT_TOLERANCE):
        raise MaskError(
            f"{sizes}: its shape differs by {abs(ratio - 1):.0%}, at most 1 % is stretched.",
            hint="Make the mask at the size of the clip.",
        )
    warn(f"{sizes}; it is resized.", "Make the mask at the size of the clip for exact edges.")


def _finish(values: NDArray[np.float64], mask: Mask, width: int, height: int) -> Weights:
    """Invert, resize and feather, in this order: inverting later would miss an exact 0."""
    if mask.invert:
        values = 1.0 - values
    weights = torch.from_numpy(values.astype(np.float32))[None, None]
    if weights.shape[-2:] != (height, width):
        weights = functional.interpolate(
            weights, (height, width), mode="bilinear", antialias=True, align_corners=False
        )
        # The filter's coefficients add up to 1 only within rounding.
        weights = torch.where(weights > 1 - 1e-5, 1.0, weights.clamp(0, 1))
    if mask.feather_px > 0:
        weights = weights * _inside(weights, mask.feather_px)
    return weights[0, 0].numpy()


def _inside(weights: Tensor, feather_px: float) -> Tensor:
    """A ramp from 0 at the mask's edge to exactly 1 `feather_px` inside; a picture's rim is none.

    The mask's support is blurred by a Gaussian b with a standard deviation of half the feather, cut
    off at the feather; a straight edge lies at b = 1/2, so clip(2·b − 1, 0, 1) is 0 from there on.
    """
    support = (weights > SUPPORT).to(torch.float64)
    radius = max(1, math.ceil(feather_px))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / (feather_px / 2)) ** 2)
    kernel = kernel / kernel.sum()
    blurred = _convolved(_convolved(support, kernel).mT, kernel).mT
    # 1e-9: the kernel adds up to 1 only within rounding, the inside is meant to be exactly 1.
    return ((2 * blurred - 1).clamp(0, 1) + 1e-9).clamp(max=1).to(torch.float32) * (blurred > 0.5)


def _convolved(values: Tensor, kernel: Tensor) -> Tensor:
    """Convolve the last dimension, its ends repeated."""
    # By Fourier transform: a direct sum takes 6 s for a full-HD mask and 100 px, this 0.1 s.
    radius = len(kernel) // 2
    padded = functional.pad(values, (radius, radius, 0, 0), mode="replicate")
    length = padded.shape[-1] + len(kernel) - 1
    spectrum = torch.fft.rfft(padded, length) * torch.fft.rfft(kernel, length)
    return torch.fft.irfft(spectrum, length)[..., 2 * radius : 2 * radius + values.shape[-1]]
