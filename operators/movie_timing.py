# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): whether a movie's frames come at a constant rate.

Blender shows the frame whose time has come, the engine counts frames: the same only at a constant
rate. MP4 and MOV list the times in their header. Of other containers (MKV, AVI, MPEG-TS) and of
fragmented MP4 nothing is known without reading all of the file: they count as constant.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SUFFIXES = (".mp4", ".m4v", ".mov", ".qt", ".3gp")
_TOLERANCE_FRAMES = 0.25  # rounded times, such as 33, 33 and 34 ms, stay far below


def is_variable(path: Path, fps: float) -> bool:
    """Whether a frame of the movie's first video track is shown away from its place at this rate.

    Args:
        path: The movie.
        fps: Frames per second that Blender reads from it.
    """
    if path.suffix.lower() not in _SUFFIXES:
        return False
    try:
        with path.open("rb") as stream:
            timescale, runs = _video_times(stream)
    except (OSError, struct.error):
        return False
    index = time = 0
    for count, delta in runs:
        for step in {0, count - 1}:  # in between, times grow evenly
            shown = (time + step * delta) * fps / timescale
            if abs(shown - (index + step)) > _TOLERANCE_FRAMES:
                return True
        index, time = index + count, time + count * delta
    return False


def _video_times(stream: BinaryIO) -> tuple[int, list[tuple[int, int]]]:
    """Units a second, and runs of (frames, units each) of the first video track."""
    size = stream.seek(0, 2)
    for moov in _boxes(stream, b"moov", 0, size):
        for track in _boxes(stream, b"trak", *moov):
            for media in _boxes(stream, b"mdia", *track):
                if _read(stream, b"hdlr", *media)[8:12] == b"vide":
                    return _track_times(stream, media)
    return 1, []


def _track_times(stream: BinaryIO, media: tuple[int, int]) -> tuple[int, list[tuple[int, int]]]:
    header = _read(stream, b"mdhd", *media)
    (timescale,) = struct.unpack_from(">I", header, 20 if header[:1] == b"\1" else 12)
    for information in _boxes(stream, b"minf", *media):
        for table in _boxes(stream, b"stbl", *information):
            times = _read(stream, b"stts", *table)
            (count,) = struct.unpack_from(">I", times, 4)
            runs = struct.iter_unpack(">II", times[8 : 8 + 8 * count])
            return max(timescale, 1), [(frames, delta) for frames, delta in runs if frames]
    return 1, []


def _boxes(stream: BinaryIO, kind: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of a kind begin and end."""
    while start + 8 <= end:
        stream.seek(start)
        size, found = struct.unpack(">I4s", stream.read(8))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", stream.read(8))
            head = 16
        stop = start + size if size else end
        if stop < start + head:
            return  # damaged
        if found == kind:
            yield start + head, min(stop, end)
        start = stop


def _read(stream: BinaryIO, kind: bytes, start: int, end: int) -> bytes:
    """Contents of the first box of a kind; empty when there is none."""
    for first, last in _boxes(stream, kind, start, end):
        stream.seek(first)
        return stream.read(last - first)
    return b""
