# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the clip and the mask of a job, as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import InvalidJobError
from .job_paths import check_path
from .schema import check_limits, setting


@dataclass(frozen=True, kw_only=True)
class Media:
    """A movie file or an image sequence, and which of its frames the clip shows.

    Paths are absolute, or relative to the job folder (then they must stay inside it).
    """

    path: str = setting(doc="movie file, or folder of the images")
    kind: Literal["movie", "images"] = setting(doc="how to read it")
    frames: tuple[int, ...] = setting(
        doc="frame map: index of the media's frame (from 0) for each frame of the clip, in order"
    )
    files: tuple[str, ...] = setting((), doc="images only: file names in order, frames index them")

    def __post_init__(self) -> None:
        check_limits(self)
        check_path(self.path, "media.path")
        if not self.frames:
            raise InvalidJobError(
                "The clip has 0 frames.", hint="Choose a strip or a range of at least one frame."
            )
        if min(self.frames) < 0:
            raise InvalidJobError(f"Frame {min(self.frames)} is asked for; the first frame is 0.")
        if self.kind == "images":
            if not self.files:
                raise InvalidJobError("The image sequence names no files.")
            if max(self.frames) >= len(self.files):
                raise InvalidJobError(
                    f"Image {max(self.frames)} is asked for; the sequence has {len(self.files)}."
                )
            for name in self.files:
                if name in ("", ".", "..") or any(letter in name for letter in "/\\\0"):
                    raise InvalidJobError(f"{name!r} is not a plain file name.")


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Where the clip may change: white (1) may change, black (0) stays bit-exact."""

    media: Media | None = setting(None, doc="mask pictures; fewer frames than the clip: last held")
    box: tuple[int, int, int, int] | None = setting(
        None, doc="x, y, width, height from the top left, instead of pictures", unit="px"
    )
    channel: Literal["luma", "alpha"] = setting("luma", doc="what of the pictures is the mask")
    invert: bool = setting(False, doc="swap what may change and what stays")
    feather_px: float = setting(
        0.0, doc="soft transition, inward from the mask's edge", unit="px", minimum=0, maximum=500
    )

    def __post_init__(self) -> None:
        check_limits(self)
        if (self.media is None) == (self.box is None):
            raise InvalidJobError("A mask is either pictures or a box, and exactly one of them.")
        if self.box is not None and (self.box[2] < 1 or self.box[3] < 1):
            raise InvalidJobError(f"The mask box is {self.box[2]}×{self.box[3]} px; at least 1×1.")
