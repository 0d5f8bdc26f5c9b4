# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed distances of the four shapes and their coverage of pixels. Imports numpy only."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["ball", "square", "triangle", "star"]
SHAPES: tuple[Shape, ...] = ("ball", "square", "triangle", "star")

# Half side of the square in radii: its area is then 3.03 r^2, next to 3.14 r^2 of the ball.
SQUARE_HALF_SIDE = 0.87
# Farthest point of any shape from its centre, in radii (the square's corners are at 1.23).
REACH = 1.24


def _ring(radii: tuple[float, ...], count: int, shift_y: float) -> tuple[tuple[float, float], ...]:
    """Vertices clockwise from the top, y down, in radii; `radii` is used cyclically."""
    angles = (2 * math.pi * k / count for k in range(count))
    return tuple(
        (radii[k % len(radii)] * math.sin(a), shift_y - radii[k % len(radii)] * math.cos(a))
        for k, a in enumerate(angles)
    )


# The triangle sits 0.12 r lower than its circumcentre so that it looks centred.
_POLYGONS = {"triangle": _ring((1.15,), 3, 0.12), "star": _ring((1.2, 0.5), 10, 0.0)}


def _polygon_distance(
    x: NDArray[np.float32], y: NDArray[np.float32], vertices: tuple[tuple[float, float], ...]
) -> NDArray[np.float32]:
    """Exact signed distance to a simple polygon, same unit as the vertices, negative inside.

    Inigo Quilez, "2D distance functions", polygon: nearest edge, sign by crossing number.
    """
    nearest = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf, np.float32)
    inside = np.zeros(nearest.shape, bool)
    for (ax, ay), (bx, by) in zip(vertices, vertices[-1:] + vertices[:-1], strict=True):
        ex, ey = bx - ax, by - ay
        wx, wy = x - ax, y - ay
        t = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, (wx - ex * t) ** 2 + (wy - ey * t) ** 2)
        above, below, left = y >= ay, y < by, ex * wy > ey * wx
        inside ^= (above & below & left) | ~(above | below | left)
    return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)


def coverage(
    shape: Shape, x: NDArray[np.float32], y: NDArray[np.float32], radius: float
) -> NDArray[np.float32]:
    """Antialiased coverage in [0, 1] of a shape centred on the origin.

    `x` (1, w) and `y` (h, 1) are pixel centres relative to the shape, `radius` is in px;
    the edge is one px wide whatever the radius. Returns (h, w).
    """
    if shape == "ball":
        distance = np.hypot(x, y) - radius
    elif shape == "square":
        distance = np.maximum(np.abs(x), np.abs(y)) - SQUARE_HALF_SIDE * radius
    else:
        distance = _polygon_distance(x / radius, y / radius, _POLYGONS[shape]) * radius
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)


def shade(x: NDArray[np.float32], y: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Brightness factor (h, w) of light from the top left; 1 in the middle of the object."""
    return np.clip(1 - 0.08 * (x + y) / radius, 0.75, 1.2).astype(np.float32)
