# SPDX-License-Identifier: GPL-3.0-or-later
"""The six backgrounds as textures of an unbounded world plane. Imports numpy only.

Unit of length: the short side of the picture. The texture is a function of the place in the world,
so a camera may look at it from any sub-pixel offset. The coarse part looks the same at every
resolution; detail finer than two px is left out, so a 64 px picture shows the coarse part alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from demo.noise import draw_lattice, sample

Background = Literal["grass", "sky", "bricks", "sand", "water", "night"]
BACKGROUNDS: tuple[Background, ...] = ("grass", "sky", "bricks", "sand", "water", "night")

Float = NDArray[np.floating]
Places = NDArray[np.float64]

_COARSE_CELLS, _MIDDLE_CELLS = 8, 20
_DETAIL_CELLS = (40, 80, 160, 320)
_BRICK_HEIGHT, _BRICK_WIDTH, _MORTAR = 1 / 6, 1 / 3, 1 / 32


def _rgb(*levels: float) -> Float:
    return np.array(levels, np.float32)


class Texture:
    """One seeded background; `paint` looks at any part of it."""

    def __init__(self, background: Background, seed: int, short_side_px: int) -> None:
        """`short_side_px` decides how much fine detail fits without aliasing."""
        self._paint = _PAINTERS[background]
        self.pixel = 1 / short_side_px
        self.phase = np.random.Generator(np.random.PCG64([seed, 99])).random(4)
        self.tint = draw_lattice(seed, 3, 16)
        # How far each octave is in: nothing at 2 px per cell, everything from 4 px on.
        fade = [(c, min(max(short_side_px / c / 2 - 1, 0.0), 1.0)) for c in _DETAIL_CELLS]
        self.octaves = [(draw_lattice(seed, 2, c), c, w) for c, w in fade if w > 0]
        self.fit = fade[0][1]
        self._coarse = draw_lattice(seed, 0, _COARSE_CELLS)
        self._middle = draw_lattice(seed, 1, _MIDDLE_CELLS)

    def coarse(self, x: Places, y: Places) -> Float:
        """Soft noise (h, w), 8 cells per short side."""
        return sample(self._coarse, _COARSE_CELLS, x, y)

    def middle(self, x: Places, y: Places) -> Float:
        """Noise (h, w), 20 cells per short side."""
        return sample(self._middle, _MIDDLE_CELLS, x, y)

    def detail(
        self, x: Places, y: Places, *, gain: float, stretch: tuple[float, float] = (1, 1)
    ) -> Float:
        """Octaves that fit the resolution (h, w), each `gain` times the one before it."""
        total = np.zeros((len(y), len(x)), np.float32)
        for level, (lattice, cells, weight) in enumerate(self.octaves):
            total += weight * gain**level * sample(lattice, cells, x * stretch[0], y * stretch[1])
        return total

    def paint(self, x: Places, y: Places) -> Float:
        """Levels 0..255, unclipped, (h, w, 3) at world columns `x` (w,) and rows `y` (h,)."""
        return self._paint(self, x, y)


def _grass(texture: Texture, x: Places, y: Places) -> Float:
    noise = texture.middle(x, y) * 16 + texture.coarse(x, y) * 8
    noise += 9 * texture.detail(x, y, gain=1.1, stretch=(1, 0.4))
    return _rgb(70, 120, 50) + noise[..., None] * _rgb(0.7, 1, 0.5)


def _sky(texture: Texture, x: Places, y: Places) -> Float:
    cloud = texture.coarse(x, y) + 0.3 * texture.detail(x, y, gain=0.5)
    haze = 60 * np.clip(y, -0.5, 1.5).astype(np.float32)[:, None, None] * _rgb(1, 0.8, 0.2)
    return _rgb(120, 175, 235) + haze + np.maximum(cloud, 0)[..., None] * 26


def _line_cover(place: NDArray[np.float64], period: float, pixel: float) -> Float:
    """Share of a pixel covered by mortar lines that start at multiples of `period`."""
    middle = np.mod(place - _MORTAR / 2 + period / 2, period) - period / 2
    return np.clip(((_MORTAR + pixel) / 2 - np.abs(middle)) / pixel, 0, 1).astype(np.float32)


def _bricks(texture: Texture, x: Places, y: Places) -> Float:
    down = y + texture.phase[0] * _BRICK_HEIGHT
    # Rows change in the middle of the mortar, where the joints beside it cannot be seen.
    row = np.floor((down - _MORTAR / 2) / _BRICK_HEIGHT)[:, None]
    along = x[None] + texture.phase[1] * _BRICK_WIDTH + np.mod(row, 2) * _BRICK_WIDTH / 2
    joint = _line_cover(along, _BRICK_WIDTH, texture.pixel)
    mortar = np.maximum(_line_cover(down, _BRICK_HEIGHT, texture.pixel)[:, None], joint)[..., None]
    column = np.floor((along - _MORTAR / 2) / _BRICK_WIDTH).astype(np.intp)
    side = texture.tint.shape[0]
    tint = texture.tint[row.astype(np.intp) % side, column % side]
    rough = texture.coarse(x, y) * 7 + 5 * texture.detail(x, y, gain=0.9)
    brick = _rgb(150, 85, 65) + texture.fit * 9 * tint[..., None] * _rgb(1, 0.8, 0.7)
    return brick * (1 - mortar) + _rgb(190, 180, 170) * mortar + rough[..., None]


def _sand(texture: Texture, x: Places, y: Places) -> Float:
    coarse, detail = texture.coarse(x, y), texture.detail(x, y, gain=1.2)
    turns = y[:, None] * 5 + x[None] * 1.2 + texture.phase[0] + 0.15 * coarse
    ripple = 8 * np.sin(2 * np.pi * turns).astype(np.float32)
    noise = texture.middle(x, y) * 5 + coarse * 9 + ripple + 4 * detail
    return _rgb(215, 190, 140) + noise[..., None]


def _water(texture: Texture, x: Places, y: Places) -> Float:
    coarse = texture.coarse(x, y)
    ripple = texture.detail(x, y, gain=0.7, stretch=(0.5, 1.2))
    turns = y[:, None] * 6 + 0.25 * coarse + 0.05 * ripple + texture.phase[0]
    noise = 18 * np.sin(2 * np.pi * turns).astype(np.float32) + coarse * 8 + 5 * ripple
    glint = 10 * np.maximum(ripple - 1.5, 0)[..., None]
    return _rgb(35, 125, 150) + noise[..., None] * _rgb(0.7, 1, 1) + glint


def _night(texture: Texture, x: Places, y: Places) -> Float:
    spots = np.maximum(texture.middle(x, y) - 1.6, 0) * 150
    # Where the spots are larger than a pixel, they get the bright core and dim rim of a star.
    spots *= 1 + texture.fit * (np.minimum(spots / 70, 1.8) - 1)
    glow = texture.coarse(x, y) * 7 + spots
    for lattice, cells, weight in texture.octaves[1:]:
        glow += weight * 260 * np.maximum(sample(lattice, cells, x, y) - 2.8, 0)
    return _rgb(22, 22, 52) + glow[..., None]


_PAINTERS: dict[Background, Callable[[Texture, Places, Places], Float]] = {
    "grass": _grass,
    "sky": _sky,
    "bricks": _bricks,
    "sand": _sand,
    "water": _water,
    "night": _night,
}
