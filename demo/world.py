# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a `ClipSpec` and its exact ground truth, whole or frame by frame. Imports numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.backgrounds import Places, Texture
from demo.grammar import caption
from demo.motion import ramp
from demo.shapes import REACH, Shape, coverage, shade
from demo.spec import COLORS, Body, ClipSpec


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
    """Levels before the shading, which averages to 1 over the object, and before the light."""
    light: NDArray[np.float32]
    """(n,), factor on every level of a frame; 1 is full light."""


def centres_px(spec: ClipSpec, body: Body | None = None) -> NDArray[np.float32]:
    """Centres of an object (the edited one by default) on the screen (n, 2) as (x, y) in px."""
    places = (body or spec).path.places(spec.frames) - _camera(spec)
    on_screen = places * magnification(spec)[:, None] * spec.short_side_px
    return (on_screen + np.array([spec.width, spec.height]) / 2).astype(np.float32)


def light_factors(spec: ClipSpec) -> NDArray[np.float32]:
    """Brightness of every frame (n,); a flickering light takes four frames for a period."""
    missing = {
        "steady": np.zeros(spec.frames),
        "darker": ramp(spec.frames),
        "brighter": 1 - ramp(spec.frames),
        "flickering": 0.5 - 0.5 * np.cos(np.pi / 2 * np.arange(spec.frames)),
    }[spec.light]
    return (1 - spec.light_depth * missing).astype(np.float32)


def _camera(spec: ClipSpec) -> NDArray[np.float64]:
    """Camera places (n, 2), short sides from the middle of the world."""
    return (ramp(spec.frames) - 0.5)[:, None] * np.array(spec.pan)


def magnification(spec: ClipSpec) -> NDArray[np.float64]:
    """How much larger than at the middle of the clip every frame shows the world (n,)."""
    return spec.zoom ** (ramp(spec.frames) - 0.5)


def _screen(spec: ClipSpec) -> tuple[Places, Places]:
    """Columns (w,) and rows (h,) of the pixel centres, short sides from the picture's middle."""
    short = spec.short_side_px
    columns = (np.arange(spec.width) + 0.5 - spec.width / 2) / short
    rows = (np.arange(spec.height) + 0.5 - spec.height / 2) / short
    return columns, rows


def _backdrops(spec: ClipSpec) -> Iterator[NDArray[np.float32]]:
    """Unclipped levels (h, w, 3) behind the object, frame after frame."""
    texture = Texture(spec.background, spec.texture_seed, spec.short_side_px)
    columns, rows = _screen(spec)
    painted = None
    for (x, y), factor in zip(_camera(spec), magnification(spec), strict=True):
        if painted is None or spec.pan != (0, 0) or spec.zoom != 1:
            places = columns / factor + x + 0.5, rows / factor + y + 0.5
            painted = np.asarray(texture.paint(*places), np.float32)
        yield painted


def _levels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


class _Painter:
    """Draws one object into the frames of a clip."""

    def __init__(self, spec: ClipSpec, body: Body) -> None:
        self._shape: Shape = body.shape
        self._rgb = np.array(COLORS[body.color], np.float32)
        self.centres = centres_px(spec, body)
        self._radii = body.radius * spec.short_side_px * magnification(spec)

    def draw(self, number: int, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw over levels (h, w, 3) in place; returns the coverage (h, w)."""
        centre, radius = self.centres[number], float(self._radii[number])
        # Only the object's surroundings are composed: at full size they are a small share.
        reach = REACH * radius + 2
        left, top = (int(max(c - reach, 0)) for c in centre)
        right, bottom = (int(max(c + reach, 0)) + 1 for c in centre)
        part = (slice(top, bottom), slice(left, right))
        alpha = np.zeros(picture.shape[:2], np.float32)
        view = picture[part]
        if view.size:
            x = np.arange(left, left + view.shape[1], dtype=np.float32)[None] + (0.5 - centre[0])
            y = np.arange(top, top + view.shape[0], dtype=np.float32)[:, None] + (0.5 - centre[1])
            cover = coverage(self._shape, x, y, radius)
            alpha[part] = cover
            view += cover[..., None] * (self._rgb * shade(x, y, radius)[..., None] - view)
        return alpha


def _scenery(spec: ClipSpec) -> Iterator[NDArray[np.float32]]:
    """Unclipped levels (h, w, 3) of all but the object, a fresh array per frame, in full light."""
    companion = spec.companion and _Painter(spec, spec.companion)
    for number, backdrop in enumerate(_backdrops(spec)):
        picture = backdrop.copy()
        if companion:
            companion.draw(number, picture)
        yield picture


def render_backgrounds(spec: ClipSpec) -> Iterator[NDArray[np.uint8]]:
    """The clip without its object (a companion stays), (h, w, 3) levels per frame."""
    for picture, light in zip(_scenery(spec), light_factors(spec), strict=True):
        yield _levels(picture * light)


def render_frames(spec: ClipSpec) -> Iterator[Frame]:
    """Frame after frame; memory does not grow with the length of the clip."""
    painter = _Painter(spec, spec.body)
    lights = light_factors(spec)
    for number, picture in enumerate(_scenery(spec)):
        alpha = painter.draw(number, picture)
        yield Frame(_levels(picture * lights[number]), alpha, painter.centres[number])


def render(spec: ClipSpec) -> Clip:
    """The whole clip in memory; `render_frames` is the choice for long or large ones."""
    frames = list(render_frames(spec))
    return Clip(
        frames=np.stack([f.image for f in frames]),
        alpha=np.stack([f.alpha for f in frames]),
        centres=np.stack([f.centre for f in frames]),
        caption=caption(spec),
        object_rgb=COLORS[spec.color],
        light=light_factors(spec),
    )
