# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures an edited clip against the exact answer, at any size. Imports numpy only.

Frames are levels 0..255, `(frames, h, w, 3)`, integer or float; masks are boolean `(frames, h, w)`.
Distances named without unit are px of a 64 px picture and grow with the short side, so a region
means the same part of the picture at every size; those named `_px` are pixels as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from demo.world import Clip

Kind = Literal["color", "shape", "background"]
Frames = NDArray[np.number]
Mask = NDArray[np.bool_]

# Mean squared error below which pictures count as equal: 1e-9 on a scale of -1..1, hence 96 dB.
_LEAST_SQUARED_ERROR = 1e-9 * 127.5**2
# Distance from the empty background (RMS over the channels, levels) that counts as the object.
BACKGROUND_DISTANCE = 0.35 * 127.5
# Distance from the object's colour below which a pixel counts as the object.
COLOUR_DISTANCE = 0.45 * 127.5
# Fewer object pixels than this (in a 64 px picture) count as an object that is gone.
LEAST_AREA = 25


def dilate(mask: Mask, reach_px: int) -> Mask:
    """Grow a mask (..., h, w) by `reach_px` in a square neighbourhood."""
    for axis in (-2, -1):
        pad = [(0, 0)] * mask.ndim
        pad[axis] = (reach_px + 1, reach_px)
        count = np.moveaxis(np.cumsum(np.pad(mask, pad), axis=axis, dtype=np.int32), axis, -1)
        wide = count[..., 2 * reach_px + 1 :] > count[..., : -2 * reach_px - 1]
        mask = np.moveaxis(wide, -1, axis)
    return mask


def erode(mask: Mask, reach_px: int) -> Mask:
    """Shrink a mask (..., h, w) by `reach_px`; the picture's edges do not eat into it."""
    return ~dilate(~mask, reach_px)


@dataclass(frozen=True)
class Regions:
    """Parts of the picture in which an edit is measured, masks (frames, h, w)."""

    core: Mask
    """Well inside both objects (2 from the edge)."""
    outside: Mask
    """Well away from both objects (4 from the edge)."""
    nearby: Mask
    """Where the object is looked for (10 from the edge)."""


def regions(source_alpha: NDArray[np.float32], target_alpha: NDArray[np.float32]) -> Regions:
    """Regions of an edit from the true coverages (frames, h, w) before and after it."""
    scale = unit_px(source_alpha)
    either = np.maximum(source_alpha, target_alpha)
    touched = either > 0.02
    return Regions(
        core=erode(np.minimum(source_alpha, target_alpha) > 0.9, round(2 * scale)),
        outside=~dilate(touched, round(4 * scale)),
        nearby=dilate(touched, round(10 * scale)),
    )


def unit_px(alpha: NDArray[np.generic]) -> float:
    """Pixels (frames, h, w) per pixel of a 64 px picture."""
    return min(alpha.shape[1:3]) / 64


def mean_colour(frames: Frames, region: Mask) -> NDArray[np.float64]:
    """Mean level (3,) over the pixels of a region."""
    total = np.zeros(3)
    for frame, part in zip(frames, region, strict=True):
        total += frame[part].sum(axis=0, dtype=np.float64)
    return total / max(int(region.sum()), 1)


def colour_progress(edited: Frames, start: Frames, target: Frames, region: Mask) -> float:
    """How far the mean colour went from `start` towards `target`: 0 not at all, 1 exactly there."""
    begin = mean_colour(start, region)
    way = mean_colour(target, region) - begin
    return float((mean_colour(edited, region) - begin) @ way / (way @ way))


def colour_error(edited: Frames, target: Frames, region: Mask) -> float:
    """Distance between the mean colours, RMS over the channels, levels."""
    difference = mean_colour(edited, region) - mean_colour(target, region)
    return float(np.sqrt(np.mean(difference**2)))


def psnr(a: Frames, b: Frames, weights: ArrayLike | None = None) -> float:
    """Peak signal-to-noise ratio in dB, at most 96; `weights` (frames, h, w) select the pixels."""
    every = np.ones(a.shape[:3], bool) if weights is None else np.asarray(weights)
    total = 0.0
    for x, y, weight in zip(a, b, every, strict=True):
        error = np.subtract(x, y, dtype=np.float32)
        total += float(np.sum(np.mean(error * error, axis=-1) * weight, dtype=np.float64))
    mean = total / max(float(every.sum()), 1e-12)
    return float(10 * np.log10(255**2 / max(mean, _LEAST_SQUARED_ERROR)))


def _distance(frame: NDArray[np.generic], other: ArrayLike) -> NDArray[np.float32]:
    """RMS difference over the channels (h, w), levels."""
    error = np.subtract(frame, other, dtype=np.float32)
    return np.sqrt(np.mean(error * error, axis=-1))


def segment(frames: Frames, background_frames: Frames) -> Mask:
    """Where the frames differ from the clip without its object (`render_backgrounds`)."""
    pairs = zip(frames, background_frames, strict=True)
    return np.stack([_distance(frame, empty) > BACKGROUND_DISTANCE for frame, empty in pairs])


def segment_colour(frames: Frames, clip: Clip) -> Mask:
    """Where the frames have the colour of the clip's object; for edits of the background."""
    colours = clip.light[:, None] * np.array(clip.object_rgb)
    pairs = zip(frames, colours, strict=True)
    return np.stack([_distance(frame, rgb) < COLOUR_DISTANCE for frame, rgb in pairs])


def _centroid(weights: NDArray[np.generic]) -> NDArray[np.float64]:
    """Centre of gravity (x, y) of a picture (h, w), px; the first pixel's middle is (0.5, 0.5)."""
    mass = np.asarray(weights, np.float64)
    columns, rows = mass.sum(axis=0), mass.sum(axis=1)
    x = columns @ (np.arange(len(columns)) + 0.5)
    y = rows @ (np.arange(len(rows)) + 0.5)
    return np.array([x, y]) / mass.sum()


def trajectory_error_px(
    segmentation: Mask, target_alpha: NDArray[np.float32]
) -> tuple[float | None, int]:
    """Mean distance of the centroids from the true ones, and how many frames lost the object.

    A frame with next to no object pixels does not count; without any frame left the error is None.
    """
    least = LEAST_AREA * unit_px(target_alpha) ** 2
    errors = [
        float(np.linalg.norm(_centroid(found) - _centroid(true)))
        for found, true in zip(segmentation, target_alpha, strict=True)
        if found.sum() >= least and true.sum() > 0
    ]
    return (sum(errors) / len(errors) if errors else None), len(segmentation) - len(errors)


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union over the whole clip; 1 for two empty masks."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def edge_halo(
    edited: Frames,
    counterfactual: Frames,
    alpha: NDArray[np.float32],
    *,
    reach_px: int = 4,
) -> float:
    """Mean absolute error against the truth within `reach_px` of the object's edge, levels."""
    band = dilate(alpha > 0.5, reach_px) & ~erode(alpha > 0.5, reach_px)
    total = 0.0
    for frame, true, part in zip(edited, counterfactual, band, strict=True):
        total += float(np.abs(np.subtract(frame, true, dtype=np.float32)[part]).sum())
    return total / max(3 * int(band.sum()), 1)


def flicker(edited: Frames, counterfactual: Frames, alpha: NDArray[np.float32]) -> float:
    """Mean absolute change of the error from frame to frame inside the object, levels.

    A constant colour error does not flicker; only pixels inside the object in both frames count.
    """
    total, pixels, before = 0.0, 0, None
    for frame, true, cover in zip(edited, counterfactual, alpha, strict=True):
        error, inside = np.subtract(frame, true, dtype=np.float32), cover > 0.5
        if before is not None:
            both = inside & before[1]
            total += float(np.abs(error - before[0])[both].sum())
            pixels += int(both.sum())
        before = error, inside
    return total / max(3 * pixels, 1)


@dataclass(frozen=True)
class Measures:
    """An edit in figures; None where a figure has no meaning for the kind of edit."""

    colour_error: float
    """Levels, RMS over the channels of the mean colour (of the background for its edits)."""
    colour_progress: float | None
    """0 unchanged, 1 exactly the target's mean colour; not for shapes."""
    background_psnr: float | None
    """dB against the source away from the object; not for backgrounds."""
    truth_psnr: float
    """dB against the exact counterfactual, whole picture."""
    object_psnr: float
    """dB against the exact counterfactual, inside its object."""
    trajectory_error_px: float | None
    """Mean distance of the object's centroid from the true one."""
    missing_frames: int
    """Frames in which no object was found."""
    iou_target: float
    """Overlap of what was found with the true object after the edit."""
    iou_source: float
    """Overlap of what was found with the object before the edit."""
    edge_halo: float
    """Levels, mean absolute error within 4 px of the true edge."""
    flicker: float
    """Levels, mean absolute change of the error per frame inside the object."""


def measure(
    edited: Frames,
    source: Clip,
    target: Clip,
    background_frames: Frames,
    kind: Kind,
    *,
    start: Frames | None = None,
) -> Measures:
    """All measures of one edit.

    `target` is the exact counterfactual of `source`, `background_frames` the source without its
    object. `start` is where progress begins when the source has been through an autoencoder.
    """
    parts = regions(source.alpha, target.alpha)
    region = parts.outside if kind == "background" else parts.core
    if kind == "background":
        found = segment_colour(edited, target)
        error, missing = trajectory_error_px(found, target.alpha)
    else:
        found = segment(edited, background_frames)
        error, missing = trajectory_error_px(found & parts.nearby, target.alpha)
    begin = source.frames if start is None else start
    return Measures(
        colour_error=colour_error(edited, target.frames, region),
        colour_progress=(
            None if kind == "shape" else colour_progress(edited, begin, target.frames, region)
        ),
        background_psnr=(
            None if kind == "background" else psnr(edited, source.frames, parts.outside)
        ),
        truth_psnr=psnr(edited, target.frames),
        object_psnr=psnr(edited, target.frames, target.alpha > 0.5),
        trajectory_error_px=error,
        missing_frames=missing,
        iou_target=iou(found, target.alpha > 0.5),
        iou_source=iou(found, source.alpha > 0.5),
        edge_halo=edge_halo(edited, target.frames, target.alpha),
        flicker=flicker(edited, target.frames, target.alpha),
    )
