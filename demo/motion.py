# SPDX-License-Identifier: GPL-3.0-or-later
"""Trajectories of the object over the world, for any size and length. Imports numpy only.

Lengths are fractions of the picture's short side, measured from the middle of the picture, x to
the right and y down. A path belongs to the whole clip: more frames make the same path slower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Motion = Literal["left", "right", "up", "down", "diagonal", "circle", "still"]
MOTIONS: dict[Motion, str] = {
    "left": "moving left",
    "right": "moving right",
    "up": "moving up",
    "down": "moving down",
    "diagonal": "moving diagonally",
    "circle": "moving in a circle",
    "still": "standing still",
}

Pair = tuple[float, float]

_DIRECTIONS: dict[Motion, Pair] = {
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "diagonal": (0.8, 0.8),
}
_ORBITS = (8 / 64, 12 / 64)


@dataclass(frozen=True)
class Path:
    """Where the object's centre is over a clip, in short sides from the middle of the picture."""

    start: Pair
    """Place at the first frame (the orbit's centre when `orbit` > 0)."""
    end: Pair
    """Place at the last frame; equal to `start` for circle and still."""
    orbit: float = 0.0
    """Radius of the circle."""
    phase: float = 0.0
    """Angle at the first frame, radians, clockwise on screen from the right."""
    turns: float = 0.0
    """Turns over the clip; with 1 the frame after the last would be the first one."""

    def places(self, frames: int) -> NDArray[np.float64]:
        """Centres (frames, 2) as (x, y), in short sides from the middle of the picture."""
        index = np.arange(frames)
        line = np.array(self.start) + ramp(frames)[:, None] * np.subtract(self.end, self.start)
        angle = self.phase + 2 * np.pi * self.turns * index / frames
        return line + self.orbit * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def step(self, frames: int) -> float:
        """Distance from one frame to the next in short sides (along the arc of a circle)."""
        arc = 2 * math.pi * self.orbit * self.turns / frames
        return math.dist(self.start, self.end) / max(frames - 1, 1) + arc


def ramp(frames: int) -> NDArray[np.float64]:
    """Normalised time (frames,), 0 at the first frame and 1 at the last."""
    return np.arange(frames) / max(frames - 1, 1)


def sample_path(
    rng: np.random.Generator,
    motion: Motion,
    *,
    room: Pair,
    pan: Pair,
    travel: float,
    longest: float,
) -> Path:
    """A random path that keeps the object's centre within +-`room` of the middle of the screen.

    `pan` is what the camera travels during the clip, from -pan/2 to +pan/2; the motion is over the
    world, so a still object drifts across the screen of a panning camera. `travel` is the wanted
    length of a straight path (shortened to fit), `longest` limits that and the arc of a circle.
    """
    if motion == "circle":
        free = [r - abs(p) / 2 for r, p in zip(room, pan, strict=True)]
        orbit = max(min(rng.uniform(*_ORBITS), *free), 1e-3)
        slack = [max(f - orbit, 0.0) for f in free]
        centre = (rng.uniform(-slack[0], slack[0]), rng.uniform(-slack[1], slack[1]))
        turns = min(1.0, longest / (2 * math.pi * orbit))
        return Path(centre, centre, orbit, rng.uniform(0, 2 * math.pi), turns)
    way = [travel * d for d in _DIRECTIONS.get(motion, (0, 0))]
    fits = [
        max(2 * r - (abs(p) if d * p < 0 else 0.0), 0.0) / abs(d)
        for d, r, p in zip(way, room, pan, strict=True)
        if d
    ]
    factor = min([1.0, *fits, longest / max(math.hypot(*way), 1e-9)])
    way = [d * factor for d in way]
    start = []
    for d, r, p in zip(way, room, pan, strict=True):
        on_screen = (p / 2, d - p / 2)
        low, high = -r - min(on_screen), r - max(on_screen)
        start.append(rng.uniform(low, high) if low < high else (low + high) / 2)
    return Path((start[0], start[1]), (start[0] + way[0], start[1] + way[1]))
