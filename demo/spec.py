# SPDX-License-Identifier: GPL-3.0-or-later
"""What a procedural clip is made of, and its counterfactuals. Imports numpy only.

A `ClipSpec` determines every pixel. Its lengths are fractions of the short side and its time runs
from the first frame to the last, so the same spec renders at any size and length. Its
counterfactual (one attribute changed, all else alike) is the exact answer to an edit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from demo.backgrounds import BACKGROUNDS, Background
from demo.motion import MOTIONS, Motion, Pair, Path
from demo.shapes import SHAPES, Shape

Color = Literal["red", "green", "blue", "yellow", "purple", "orange", "white", "black"]
Size = Literal["small", "", "big", "huge"]
Light = Literal["steady", "darker", "brighter", "flickering"]

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
    "huge": (15 / 64, 19 / 64),
}
MIN_SIDE_PX = 16
_ENDS = ("start", "end")
# Largest magnification of the last frame over the first, and of the first over the last.
MAX_ZOOM = 4.0


@dataclass(frozen=True)
class Body:
    """One object: what it is and where it goes."""

    shape: Shape
    color: Color
    motion: Motion
    size: Size
    """The caption's size word; `radius` is what is drawn."""
    radius: float
    """Short sides, where the camera magnifies by 1."""
    path: Path
    """Over the world, in short sides from the middle of the picture."""

    def __post_init__(self) -> None:
        """Refuse values that no object can have."""
        known = {"shape": SHAPES, "color": COLORS, "motion": MOTIONS, "size": SIZES}
        for name, values in known.items():
            _check(name, getattr(self, name), values)


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
    """Short sides, where the camera magnifies by 1."""
    path: Path
    """Over the world, in short sides from the middle of the picture."""
    texture_seed: int
    pan: Pair = (0.0, 0.0)
    """What the camera travels over the clip, from -pan/2 to +pan/2, short sides."""
    zoom: float = 1.0
    """Magnification of the last frame over the first; the middle of the clip is at 1."""
    light: Light = "steady"
    light_depth: float = 0.0
    """Share of the brightness that is gone where it is darkest, 0 to 1."""
    companion: Body | None = None
    """A second object, behind the first; an edit leaves it alone."""
    frames: int = 8
    width: int = 64
    """px"""
    height: int = 64
    """px"""
    fps: Fraction = Fraction(25)
    """Frames per second."""

    def __post_init__(self) -> None:
        """Refuse values that no clip can have."""
        _check("background", self.background, BACKGROUNDS)
        _check("light", self.light, get_args(Light))
        _ = self.body
        if not 1 / MAX_ZOOM <= self.zoom <= MAX_ZOOM:
            raise ValueError(f"zoom is {self.zoom}; use {1 / MAX_ZOOM} to {MAX_ZOOM}")
        if not 0 <= self.light_depth <= 1:
            raise ValueError(f"light_depth is {self.light_depth}; use 0 to 1")
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
    def body(self) -> Body:
        """The object, without the world around it."""
        return Body(self.shape, self.color, self.motion, self.size, self.radius, self.path)

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


def counterfactual(
    spec: ClipSpec,
    *,
    color: Color | None = None,
    shape: Shape | None = None,
    background: Background | None = None,
) -> ClipSpec:
    """The spec after an edit: what is named changes, all else stays."""
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
    other = values.get("companion")
    return ClipSpec(
        **values
        | {
            "path": _path(values["path"]),
            "pan": (float(values["pan"][0]), float(values["pan"][1])),
            "companion": other and Body(**other | {"path": _path(other["path"])}),
            "fps": Fraction(values["fps"]),
        }
    )


def _path(values: dict[str, Any]) -> Path:
    start, end = values["start"], values["end"]
    path = Path((float(start[0]), float(start[1])), (float(end[0]), float(end[1])))
    return dataclasses.replace(path, **{k: v for k, v in values.items() if k not in _ENDS})


def _check(name: str, value: object, known: Any) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}; use one of {list(known)}")
