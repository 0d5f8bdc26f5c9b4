# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth random fields over an unbounded plane, sampled at sub-pixel places. Imports numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The plane repeats after this many units; wide enough for 16:9 with a panning camera.
PERIOD = 4
# Sharpness of the cubic convolution, the value PyTorch's bicubic interpolation uses.
CUBIC_A = -0.75


def draw_lattice(seed: int, channel: int, cells: int) -> NDArray[np.float32]:
    """Standard normal values (PERIOD * cells, PERIOD * cells), determined by the arguments."""
    generator = np.random.Generator(np.random.PCG64([seed, channel, cells]))
    side = PERIOD * cells
    return generator.standard_normal((side, side), dtype=np.float32)


def _taps(places: NDArray[np.float64], side: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Indices (4, n) modulo `side` and cubic weights (4, n) for places in cells."""
    first = np.floor(places)
    t = places - first
    offset = np.arange(-1, 3)[:, None]
    d = np.abs(t - offset)
    near = ((CUBIC_A + 2) * d - (CUBIC_A + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * CUBIC_A - 4 * CUBIC_A
    weights = np.where(d <= 1, near, far).astype(np.float32)
    return (first.astype(np.intp) + offset) % side, weights


def sample(
    lattice: NDArray[np.float32], cells: float, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The field (h, w) at columns `x` (w,) and rows `y` (h,), with `cells` values per unit."""
    side = lattice.shape[0]
    column, column_weight = _taps(x * cells - 0.5, side)
    row, row_weight = _taps(y * cells - 0.5, side)
    used, position = np.unique(row, return_inverse=True)
    position = position.reshape(row.shape)
    rows = lattice[used]
    across = np.zeros((len(used), len(x)), np.float32)
    for places, weight in zip(column, column_weight, strict=True):
        across += rows[:, places] * weight
    field = np.zeros((len(y), len(x)), np.float32)
    for places, weight in zip(position, row_weight, strict=True):
        field += across[places] * weight[:, None]
    return field
