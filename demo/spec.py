# SPDX-License-Identifier: GPL-3.0-or-later
"""What a procedural clip is made of, its caption and its counterfactuals. Imports numpy only.

A `ClipSpec` determines every pixel. Its lengths are fractions of the short side and its time runs
from the first frame to the last, so the same spec renders at any size and length. Its
counterfactual (one attribute changed, all else alike) is the exact answer to an edit.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypedDict, Unpack, get_args

import numpy as np

from demo.backgrounds import BACKGROUNDS, Background
from demo.motion import MOTIONS, Motion, Pair, Path, sample_path
from demo.shapes import SHAPES, Shape

Color = Literal["red", "green", "blue", "yellow", "purple", "orange", "white", "black"]
Size = Literal["small", "", "big"]
Camera = Literal["still", "pan"]

COLORS: dict[Color, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (40, 70, 225),
    "yellow": (245, 220, 40),
    "purple": (150, 50, 190),
    "orange": (250, 140, 30),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
# Radii in short sides; the numerators are px of a 64 px picture.
SIZES: dict[Size, Pair] = {
    "small": (8 / 64, 9.5 / 64),
    "": (9.5 / 64, 12 / 64),
    "big": (12 / 64, 14 / 64),
}
# Travel per frame in short sides: 2.6 to 4.2 px per frame in a 64 px picture.
SPEEDS = (2.6 / 64, 4.2 / 64)
PAN_SPEEDS = (1.2 / 64, 2.8 / 64)
# Gap kept between the object's radius and the edge of the picture, short sides.
MARGIN = 2 / 64
MIN_SIDE_PX = 16
# Drawn only on request: the object could not be told from what is behind it.
_CAMOUFLAGE = {("green", "grass"), ("black", "night"), ("yellow", "sand"), ("blue", "water")}


class Fixed(TypedDict, total=False):
    """Attributes of a spec that are not left to chance."""

    shape: Shape
    color: Color
    motion: Motion
    background: Background
    size: Size


@dataclass(frozen=True)
class ClipSpec:
    """Everything that determines a clip."""

    shape: Shape
    color: Color
    motion: Motion
    background: Background
    size: Size
    """The caption's size word; `radius` is what is drawn."""
    radius: float
    """Short sides."""
    path: Path
    """Over the world, in short sides from the middle of the picture."""
    texture_seed: int
    pan: Pair = (0.0, 0.0)
    """What the camera travels over the clip, from -pan/2 to +pan/2, short sides."""
    frames: int = 8
    width: int = 64
    """px"""
    height: int = 64
    """px"""
    fps: Fraction = Fraction(25)
    """Frames per second."""

    def __post_init__(self) -> None:
        """Refuse values that no clip can have."""
        for name, known in (
            ("shape", SHAPES),
            ("color", COLORS),
            ("motion", MOTIONS),
            ("background", BACKGROUNDS),
            ("size", SIZES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; use one of {list(known)}")
        if self.frames < 1:
            raise ValueError(f"a clip of {self.frames} frames; ask for at least 1")
        if min(self.width, self.height) < MIN_SIDE_PX:
            raise ValueError(
                f"{self.width}x{self.height} px; both sides need at least {MIN_SIDE_PX} px"
            )

    def at(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        frames: int | None = None,
        fps: Fraction | None = None,
    ) -> ClipSpec:
        """The same clip at another size, length or rate; places keep their distance to the middle.

        The path and the pan are spread over the new number of frames, so speed changes with it
        (see `speed_px`). In a narrower picture than the sampled one the object may leave the frame.
        """
        return dataclasses.replace(
            self,
            width=width or self.width,
            height=height or self.height,
            frames=frames or self.frames,
            fps=fps or self.fps,
        )

    @property
    def short_side_px(self) -> int:
        """The unit of length in px."""
        return min(self.width, self.height)

    @property
    def speed_px(self) -> float:
        """Object's movement over the world from one frame to the next, px."""
        return self.path.step(self.frames) * self.short_side_px

    @property
    def pan_px(self) -> Pair:
        """Camera's movement per frame (x, y), px; the background moves the other way."""
        scale = self.short_side_px / max(self.frames - 1, 1)
        return self.pan[0] * scale, self.pan[1] * scale


def caption(spec: ClipSpec) -> str:
    """The clip in words: "a [size] colour shape MOTION over background"."""
    words = f"{spec.size} {spec.color}".strip()
    article = "an" if words[0] in "aeiou" else "a"
    return f"{article} {words} {spec.shape} {MOTIONS[spec.motion]} over {spec.background}"


def sample_spec(
    seed: int,
    *,
    frames: int = 8,
    width: int = 64,
    height: int = 64,
    fps: Fraction = Fraction(25),
    camera: Camera = "still",
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
    limit = np.inf if max_speed_px is None else max_speed_px / short
    room = tuple(max(side / short / 2 - radius - MARGIN, 0.0) for side in (width, height))
    pan = (0.0, 0.0)
    if camera == "pan":
        length = min(min(rng.uniform(*PAN_SPEEDS), limit) * steps, 0.8 * room[0])
        tilt = rng.uniform(-0.2, 0.2)
        pan = (float(rng.choice([-1, 1])) * length * math.cos(tilt), length * math.sin(tilt))
    path = sample_path(
        rng,
        names["motion"],
        room=(room[0], room[1]),
        pan=pan,
        travel=rng.uniform(*SPEEDS) * steps,
        longest=limit * steps,
    )
    return ClipSpec(
        **names,
        radius=radius,
        path=path,
        texture_seed=int(rng.integers(1 << 30)),
        pan=pan,
        frames=frames,
        width=width,
        height=height,
        fps=fps,
    )


class _Names(TypedDict):
    shape: Shape
    color: Color
    motion: Motion
    background: Background
    size: Size


def _sample_names(rng: np.random.Generator, fixed: Fixed) -> _Names:
    """Draw every attribute in a fixed order, then let `fixed` win, so seeds stay comparable."""
    drawn = _Names(
        shape=SHAPES[rng.integers(len(SHAPES))],
        color=get_args(Color)[rng.integers(len(COLORS))],
        motion=get_args(Motion)[rng.integers(len(MOTIONS))],
        background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        size=("small", "", "", "big")[rng.integers(4)],
    )
    drawn.update(fixed)
    while "color" not in fixed and (drawn["color"], drawn["background"]) in _CAMOUFLAGE:
        drawn["color"] = get_args(Color)[rng.integers(len(COLORS))]
    return drawn


def counterfactual(
    spec: ClipSpec,
    *,
    color: Color | None = None,
    shape: Shape | None = None,
    background: Background | None = None,
) -> ClipSpec:
    """The spec after an edit: what is named changes, path, size, texture seed and camera stay."""
    return dataclasses.replace(
        spec,
        color=color or spec.color,
        shape=shape or spec.shape,
        background=background or spec.background,
    )


def to_json(spec: ClipSpec) -> dict[str, Any]:
    """The spec as JSON values; the frame rate is written as "numerator/denominator"."""
    return dataclasses.asdict(spec) | {"fps": f"{spec.fps.numerator}/{spec.fps.denominator}"}


def from_json(values: dict[str, Any]) -> ClipSpec:
    """The spec that `to_json` wrote."""
    path = values["path"]
    path = Path(**(path | {"start": tuple(path["start"]), "end": tuple(path["end"])}))
    pan = (float(values["pan"][0]), float(values["pan"][1]))
    return ClipSpec(**(values | {"path": path, "pan": pan, "fps": Fraction(values["fps"])}))
