# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through strips.py, never torch): the files a strip shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..engine.errors import MediaError
from ..engine.reachable import has_file
from . import movie_timing, strips
from .words import rpt_

ENGINE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".tga")
"""Pictures the engine reads itself: `IMAGE_SUFFIXES` of engine/video/images.py."""


def check_files(strip: Any, *, is_quick: bool = False) -> None:
    """Refuse a strip whose files, or those of the strips it is made of, are missing.

    Args:
        strip: The strip.
        is_quick: Look only at the first and last file of each strip, for drawing.
    """
    if strip.type == "META":
        for child in strips.children(strip):
            if child.type != "SOUND":
                check_files(child, is_quick=is_quick)
    for part in strips.inputs(strip):
        check_files(part, is_quick=is_quick)
    for path in media_paths(strip, ends_only=is_quick):
        if not has_file(path):
            raise MediaError(
                rpt_("“{strip}” cannot be read: {file} is not there.", strip=strip.name, file=path),
                hint=rpt_("Find the missing file (File > External Data), or select another strip."),
            )


def media_paths(strip: Any, *, ends_only: bool = False) -> list[Path]:
    """The files a movie or image strip shows, or the first and the last; none for other strips."""
    if strip.type == "MOVIE":
        return [Path(absolute(strip.filepath))]
    if strip.type != "IMAGE":
        return []
    folder = Path(absolute(strip.directory))
    first, last = strips.left(strip), strips.right(strip) - 1
    frames = sorted({first, last}) if ends_only else range(first, last + 1)
    final = len(strip.elements) - 1
    shown = sorted({min(index, final) for index in frame_map(strip, frames)})
    if ends_only:
        return [folder / strip.elements[index].filename for index in shown]
    names = [element.filename for element in strip.elements]
    return [folder / names[index] for index in shown]


def absolute(path: str) -> str:
    """A path of Blender's (// is the .blend's folder) as the operating system's."""
    return str(Path(bpy.path.abspath(path)).absolute())


def frame_map(strip: Any, frames: range | list[int]) -> list[int]:
    """Index in the media for each frame of the scene; before and after the content it is held."""
    start, length = strips.content_start(strip), strips.content_duration(strip)
    offset = strips.content_trim(strip)[0]
    return [min(max(frame - start, 0), length - 1) + offset for frame in frames]


def foreign_kind(strip: Any) -> str:
    """Kind of an image strip's pictures when Blender alone can read it, such as “EXR”."""
    if strip.type != "IMAGE":
        return ""
    suffixes = {path.suffix.lower() for path in media_paths(strip)}
    return ", ".join(sorted(s[1:].upper() or "?" for s in suffixes - {*ENGINE_SUFFIXES}))


def unreadable(strip: Any) -> str:
    """Why the engine cannot take the strip's pictures from its files; empty when it can."""
    if strip.type == "MOVIE" and movie_timing.is_variable(media_paths(strip)[0], strip.fps):
        return "its frame rate varies"
    kind = foreign_kind(strip)
    return f"its pictures are {kind}" if kind else ""


def lost_brightness(strip: Any) -> list[str]:
    """What to say about pictures of more than 8 bits; empty for others."""
    kind = foreign_kind(strip)
    if not kind:
        return []
    text = rpt_(
        "“{strip}” holds {kind} pictures: the edit is made in 8-bit sRGB, "
        "brightness beyond white is lost.",
        strip=strip.name,
        kind=kind,
    )
    return [text]
