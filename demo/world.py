# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a `ClipSpec` and its exact ground truth, whole or frame by frame. Imports numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.backgrounds import Places, Texture
from demo.motion import ramp
from demo.shapes import REACH, coverage, shade
from demo.spec import COLORS, ClipSpec, caption


@dataclass(frozen=True)
class Frame:
    """One rendered frame."""

    image: NDArray[np.uint8]
    """(h, w, 3), sRGB levels."""
    alpha: NDArray[np.float32]
    """(h, w), object's coverage in [0, 1]."""
    centre: NDArray[np.float32]
    """(2,) as (x, y) in px; the middle of the top left pixel is (0.5, 0.5)."""


@dataclass(frozen=True)
class Clip:
    """A rendered clip with its ground truth."""

    frames: NDArray[np.uint8]
    """(n, h, w, 3), sRGB levels."""
    alpha: NDArray[np.float32]
    """(n, h, w), object's coverage in [0, 1]."""
    centres: NDArray[np.float32]
    """(n, 2) as (x, y) in px; the middle of the top left pixel is (0.5, 0.5)."""
    caption: str
    object_rgb: tuple[int, int, int]
    """Levels before the shading, which averages to 1 over the object."""


def centres_px(spec: ClipSpec) -> NDArray[np.float32]:
    """Centres of the object on the screen (n, 2) as (x, y) in px."""
    on_screen = (spec.path.places(spec.frames) - _camera(spec)) * spec.short_side_px
    return (on_screen + np.array([spec.width, spec.height]) / 2).astype(np.float32)


def _camera(spec: ClipSpec) -> NDArray[np.float64]:
    """Camera places (n, 2), short sides from the middle of the world."""
    return (ramp(spec.frames) - 0.5)[:, None] * np.array(spec.pan)


def _screen(spec: ClipSpec) -> tuple[Places, Places]:
    """World columns (w,) and rows (h,) of the pixel centres seen by a centred camera."""
    short = spec.short_side_px
    columns = (np.arange(spec.width) + 0.5 - spec.width / 2) / short + 0.5
    rows = (np.arange(spec.height) + 0.5 - spec.height / 2) / short + 0.5
    return columns, rows


def _backdrops(spec: ClipSpec) -> Iterator[NDArray[np.float32]]:
    """Unclipped levels (h, w, 3) behind the object, frame after frame."""
    texture = Texture(spec.background, spec.texture_seed, spec.short_side_px)
    columns, rows = _screen(spec)
    painted = None
    for x, y in _camera(spec):
        if painted is None or spec.pan != (0, 0):
            painted = np.asarray(texture.paint(columns + x, rows + y), np.float32)
        yield painted


def _levels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def render_backgrounds(spec: ClipSpec) -> Iterator[NDArray[np.uint8]]:
    """The clip without its object, (h, w, 3) levels per frame."""
    for backdrop in _backdrops(spec):
        yield _levels(backdrop)


def render_frames(spec: ClipSpec) -> Iterator[Frame]:
    """Frame after frame; memory does not grow with the length of the clip."""
    radius = spec.radius * spec.short_side_px
    rgb = np.array(COLORS[spec.color], np.float32)
    for backdrop, centre in zip(_backdrops(spec), centres_px(spec), strict=True):
        # Only the object's surroundings are composed: at full size they are a small share.
        reach = REACH * radius + 2
        left, top = (int(max(c - reach, 0)) for c in centre)
        right, bottom = (int(max(c + reach, 0)) + 1 for c in centre)
        part = (slice(top, bottom), slice(left, right))
        alpha = np.zeros((spec.height, spec.width), np.float32)
        picture = backdrop.copy()
        view = picture[part]
        x = np.arange(left, left + view.shape[1], dtype=np.float32)[None] + (0.5 - centre[0])
        y = np.arange(top, top + view.shape[0], dtype=np.float32)[:, None] + (0.5 - centre[1])
        if view.size:
            cover = coverage(spec.shape, x, y, radius)
            alpha[part] = cover
            view += cover[..., None] * (rgb * shade(x, y, radius)[..., None] - view)
        yield Frame(_levels(picture), alpha, centre)


def render(spec: ClipSpec) -> Clip:
    """The whole clip in memory; `render_frames` is the choice for long or large ones."""
    frames = list(render_frames(spec))
    return Clip(
        frames=np.stack([f.image for f in frames]),
        alpha=np.stack([f.alpha for f in frames]),
        centres=np.stack([f.centre for f in frames]),
        caption=caption(spec),
        object_rgb=COLORS[spec.color],
    )
