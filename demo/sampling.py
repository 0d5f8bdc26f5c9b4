# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws clips at random: with wanted attributes, or from everything the world has. Numpy only."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Literal, TypedDict, Unpack, get_args

import numpy as np

from demo.backgrounds import BACKGROUNDS, Background
from demo.motion import Motion, Pair, sample_path
from demo.shapes import SHAPES, Shape
from demo.spec import COLORS, SIZES, Body, ClipSpec, Color, Light, Size
from demo.world import centres_px

Camera = Literal["still", "pan", "zoom"]

# Travel per frame in short sides: 2.6 to 4.2 px per frame in a 64 px picture.
SPEEDS = (2.6 / 64, 4.2 / 64)
PAN_SPEEDS = (1.2 / 64, 2.8 / 64)
ZOOMS = (1.2, 1.6)
LIGHT_DEPTHS = (0.3, 0.6)
# Gap kept between the object's radius and the edge of the picture, short sides.
MARGIN = 2 / 64
# Drawn only on request: the object could not be told from what is behind it.
CAMOUFLAGE = {("green", "grass"), ("black", "night"), ("yellow", "sand"), ("blue", "water")}
# Tries to place a second object clear of the first, before it may be half hidden by it.
_PLACEMENTS = 12


class Fixed(TypedDict, total=False):
    """Attributes of a spec that are not left to chance."""

    shape: Shape
    color: Color
    motion: Motion
    background: Background
    size: Size


class _Names(TypedDict):
    shape: Shape
    color: Color
    motion: Motion
    background: Background
    size: Size


@dataclasses.dataclass(frozen=True)
class _Frame:
    """What limits the places of an object: the picture and how the camera moves over the clip."""

    room: Pair
    """Half the picture, short sides of the world where the camera magnifies most."""
    pan: Pair
    magnification: float
    """Largest of the clip."""
    steps: int
    limit: float
    """Largest movement per frame, short sides."""


def sample_spec(
    seed: int,
    *,
    frames: int = 8,
    width: int = 64,
    height: int = 64,
    fps: Fraction = Fraction(25),
    camera: Camera = "still",
    light: Light = "steady",
    companion: bool = False,
    max_speed_px: float | None = None,
    **fixed: Unpack[Fixed],
) -> ClipSpec:
    """A random spec with the `fixed` attributes; the object's centre stays in the picture.

    A straight path is as long as a speed within SPEEDS (short sides per frame) makes it and the
    picture holds; a circle is one turn per clip. `max_speed_px` limits the movement of the object
    and of the camera, px per frame at this size and length, by shortening the path.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    names = _sample_names(rng, fixed)
    radius = rng.uniform(*SIZES[names["size"]])
    short, steps = min(width, height), frames - 1 if frames > 1 else 7
    zoom = 1.0
    if camera == "zoom":
        zoom = float(rng.uniform(*ZOOMS) ** rng.choice([-1, 1]))
    magnification = max(zoom, 1 / zoom) ** 0.5
    frame = _Frame(
        room=(width / short / 2 / magnification, height / short / 2 / magnification),
        pan=(0.0, 0.0),
        magnification=magnification,
        steps=steps,
        limit=np.inf if max_speed_px is None else max_speed_px / short,
    )
    if camera == "pan":
        frame = _panned(rng, frame, radius)
    body = _place(rng, frame, names, radius)
    spec = ClipSpec(
        shape=body.shape,
        color=body.color,
        motion=body.motion,
        background=names["background"],
        size=body.size,
        radius=radius,
        path=body.path,
        texture_seed=int(rng.integers(1 << 30)),
        pan=frame.pan,
        zoom=zoom,
        light=light,
        light_depth=0.0 if light == "steady" else float(rng.uniform(*LIGHT_DEPTHS)),
        frames=frames,
        width=width,
        height=height,
        fps=fps,
    )
    if companion:
        spec = dataclasses.replace(spec, companion=_sample_companion(rng, spec, frame))
    return spec


def _panned(rng: np.random.Generator, frame: _Frame, radius: float) -> _Frame:
    """The frame with a camera that pans to the left or right, a little tilted."""
    length = min(rng.uniform(*PAN_SPEEDS), frame.limit) * frame.steps
    length = min(length, 0.8 * _room(frame, radius)[0])
    tilt = rng.uniform(-0.2, 0.2)
    pan = (float(rng.choice([-1, 1])) * length * math.cos(tilt), length * math.sin(tilt))
    return dataclasses.replace(frame, pan=pan)


def sample_any(seed: int, *, width: int = 64, height: int = 64, frames: int = 8) -> ClipSpec:
    """A clip out of everything the world has: what the demo model is trained on.

    Half of the clips are plain (one object, still camera, steady light); the others have some of a
    moving camera, changing light and a second object. One in eight objects is huge.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 7]))
    camera: Camera = "still"
    light: Light = "steady"
    companion = False
    fixed = Fixed()
    if rng.random() < 0.5:
        camera = ("still", "pan", "pan", "zoom")[rng.integers(4)]
        companion = rng.random() < 0.35
        if rng.random() < 0.3:
            light = get_args(Light)[rng.integers(1, len(get_args(Light)))]
    if not companion and rng.random() < 0.125:
        fixed["size"] = "huge"
    return sample_spec(
        int(rng.integers(1 << 62)),
        frames=frames,
        width=width,
        height=height,
        camera=camera,
        light=light,
        companion=companion,
        **fixed,
    )


def _room(frame: _Frame, radius: float) -> Pair:
    """How far from the middle an object's centre may be, short sides."""
    taken = radius + MARGIN
    return max(frame.room[0] - taken, 0.0), max(frame.room[1] - taken, 0.0)


def _place(rng: np.random.Generator, frame: _Frame, names: _Names, radius: float) -> Body:
    """An object of these names on a random path."""
    path = sample_path(
        rng,
        names["motion"],
        room=_room(frame, radius),
        pan=frame.pan,
        travel=rng.uniform(*SPEEDS) * frame.steps,
        longest=frame.limit * frame.steps,
    )
    return Body(names["shape"], names["color"], names["motion"], names["size"], radius, path)


def _sample_companion(rng: np.random.Generator, spec: ClipSpec, frame: _Frame) -> Body:
    """A second object of another colour, clear of the first where there is room for it."""
    first = centres_px(spec) / spec.short_side_px
    best, most = None, -np.inf
    for _ in range(_PLACEMENTS):
        names = _sample_names(rng, Fixed(background=spec.background))
        while names["color"] == spec.color or names["size"] == "big":
            names = _sample_names(rng, Fixed(background=spec.background))
        body = _place(rng, frame, names, rng.uniform(*SIZES[names["size"]]))
        gaps = np.linalg.norm(centres_px(spec, body) / spec.short_side_px - first, axis=1)
        clear = float(gaps.min()) - spec.radius - body.radius
        if clear > most:
            best, most = body, clear
        if clear > 0:
            break
    assert best is not None
    return best


def _sample_names(rng: np.random.Generator, fixed: Fixed) -> _Names:
    """Draw every attribute in a fixed order, then let `fixed` win, so seeds stay comparable."""
    drawn = _Names(
        shape=SHAPES[rng.integers(len(SHAPES))],
        color=get_args(Color)[rng.integers(len(COLORS))],
        motion=get_args(Motion)[rng.integers(len(get_args(Motion)))],
        background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        size=("small", "", "", "big")[rng.integers(4)],
    )
    drawn.update(fixed)
    while "color" not in fixed and (drawn["color"], drawn["background"]) in CAMOUFLAGE:
        drawn["color"] = get_args(Color)[rng.integers(len(COLORS))]
    return drawn
