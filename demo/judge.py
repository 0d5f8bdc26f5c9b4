# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads off a clip of one object what is to be seen in it, by fixed rules. Imports numpy only.

For clips that a model sampled from a caption, where no ground truth exists. On rendered clips the
rules must find what the spec says; `tests/unit/test_judge.py` holds them to that. Frames are levels
0..255, `(frames, h, w, 3)`, about 64 px high, camera and light still.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from demo.backgrounds import BACKGROUNDS, Background
from demo.motion import Motion
from demo.sampling import sample_spec
from demo.shapes import SHAPES, Shape, coverage
from demo.spec import COLORS, Color
from demo.truth import erode
from demo.world import render_backgrounds

Frames = NDArray[np.number]
Mask = NDArray[np.bool_]

# Spread of an object's levels around its colour (shading, soft edges), standard deviation.
COLOUR_SPREAD = 22.0
# Object pixels in a frame, as truth.LEAST_AREA, and the share of frames that must have them.
LEAST_AREA = 25
PRESENT_SHARE = 0.75
# px of a 64 px picture: an object that goes less far than this over the clip stands still.
STILL_PX = 5.0
# An object whose way is this many times the distance between its ends went round.
ROUND_RATIO = 2.0
_REFERENCE_SEEDS = range(50_000, 50_012)
_MOTIONS: dict[Motion, tuple[float, float]] = {
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "diagonal": (0.5**0.5, 0.5**0.5),
}


@dataclass(frozen=True)
class Verdict:
    """What is to be seen; None where there is no object."""

    background: Background
    color: Color | None
    shape: Shape | None
    motion: Motion | None


def judge(frames: Frames) -> Verdict:
    """What is to be seen in a clip `(frames, h, w, 3)`."""
    background = find_background(frames)
    labels = _label(frames, background)
    color = _find_color(labels)
    if color is None:
        return Verdict(background, None, None, None)
    mask = _clean(labels == list(COLORS).index(color))
    centres = _centres(mask)
    if centres is None:
        return Verdict(background, color, None, None)
    return Verdict(background, color, find_shape(mask), find_motion(centres))


def find_background(frames: Frames) -> Background:
    """The background whose mean colour is nearest to the clip's median colour."""
    median = np.median(frames.reshape(-1, 3), axis=0)
    return min(BACKGROUNDS, key=lambda name: float(np.linalg.norm(median - _reference(name)[0])))


@cache
def _reference(background: Background) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (3,) and covariance (3, 3) of a background's levels."""
    pictures = [
        next(iter(render_backgrounds(sample_spec(seed, background=background, frames=1))))
        for seed in _REFERENCE_SEEDS
    ]
    pixels = np.stack(pictures).reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), np.cov(pixels.T)


def _label(frames: Frames, background: Background) -> NDArray[np.int8]:
    """Per pixel the most likely of the object colours (their index) or the background (-1)."""
    pixels = frames.astype(np.float64)
    mean, covariance = _reference(background)
    # Decoded pictures are never exactly a render: the covariance gets the spread of soft edges.
    covariance = covariance + np.eye(3) * (COLOUR_SPREAD / 2) ** 2
    away = pixels - mean
    best = -0.5 * np.einsum("...i,ij,...j->...", away, np.linalg.inv(covariance), away)
    best -= 0.5 * np.log(np.linalg.det(covariance))
    labels = np.full(frames.shape[:3], -1, np.int8)
    for index, rgb in enumerate(COLORS.values()):
        squared = ((pixels - np.array(rgb)) ** 2).sum(axis=-1)
        score = -0.5 * squared / COLOUR_SPREAD**2 - 3 * np.log(COLOUR_SPREAD)
        labels[score > best] = index
        best = np.maximum(best, score)
    return labels


def _find_color(labels: NDArray[np.int8]) -> Color | None:
    """The colour with most pixels, if enough frames have enough of them."""
    areas = np.stack(
        [_clean(labels == index).sum(axis=(1, 2)) for index in range(len(COLORS))], axis=1
    )
    index = int(areas.sum(axis=0).argmax())
    least = LEAST_AREA * (min(labels.shape[1:]) / 64) ** 2
    if (areas[:, index] >= least).mean() < PRESENT_SHARE:
        return None
    return list(COLORS)[index]


def _clean(mask: Mask) -> Mask:
    """Without specks: only what is within 1 px of a place that is solid for 3 x 3 px."""
    solid = erode(mask, 1)
    grown = ~erode(~solid, 2)
    return mask & grown


def _centres(mask: Mask) -> NDArray[np.float64] | None:
    """Centres of gravity (frames, 2) as (x, y) in px; frames without the object are filled in."""
    found = np.flatnonzero(mask.any(axis=(1, 2)))
    if len(found) < 2:
        return None
    places = []
    for number in found:
        rows, columns = np.nonzero(mask[number])
        places.append((columns.mean() + 0.5, rows.mean() + 0.5))
    every = np.arange(len(mask))
    x, y = np.array(places).T
    return np.stack([np.interp(every, found, x), np.interp(every, found, y)], axis=1)


def find_shape(mask: Mask) -> Shape:
    """The shape whose template fits best, mean over the frames of the best IoU."""
    scores = dict.fromkeys(SHAPES, 0.0)
    for frame in mask:
        if not frame.any():
            continue
        for shape in SHAPES:
            scores[shape] += _best_fit(frame, shape)
    return max(scores, key=lambda shape: scores[shape])


def _best_fit(mask: Mask, shape: Shape) -> float:
    """Largest IoU of a frame's mask (h, w) with the shape, over places and sizes."""
    rows, columns = np.nonzero(mask)
    radius = float(np.sqrt(len(rows) / np.pi))
    reach = round(2.5 * radius) + 3
    left, top = int(columns.mean()) - reach, int(rows.mean()) - reach
    near = np.zeros((2 * reach, 2 * reach), bool)
    inside = (abs(columns - left - reach) < reach) & (abs(rows - top - reach) < reach)
    near[rows[inside] - top, columns[inside] - left] = True
    x = np.arange(2 * reach, dtype=np.float32)[None] + 0.5 - (columns.mean() + 0.5 - left)
    y = np.arange(2 * reach, dtype=np.float32)[:, None] + 0.5 - (rows.mean() + 0.5 - top)
    best = 0.0
    for scale in np.linspace(0.85, 1.75, 10):
        for dx in (-1.0, 0.0, 1.0):
            for dy in (-2.0, -1.0, 0.0, 1.0, 2.0):
                template = coverage(shape, x - dx, y - dy, radius * scale) > 0.5
                overlap = np.count_nonzero(template & near)
                union = np.count_nonzero(template) + len(rows) - overlap
                best = max(best, overlap / max(union, 1))
    return best


def find_motion(centres: NDArray[np.float64]) -> Motion:
    """The motion of centres (frames, 2) in px of a 64 px picture."""
    # The mean of two neighbours: segmentation noise would lengthen the way.
    smooth = (centres[1:] + centres[:-1]) / 2
    way = float(np.linalg.norm(np.diff(smooth, axis=0), axis=1).sum())
    if way < STILL_PX:
        return "still"
    ends = smooth[-1] - smooth[0]
    distance = float(np.linalg.norm(ends))
    if way > ROUND_RATIO * distance:
        return "circle"
    return max(_MOTIONS, key=lambda motion: float(ends @ np.array(_MOTIONS[motion])))
