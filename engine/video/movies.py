# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): decode a movie file, always from its first frame on.

Seeking by index is wrong on MPEG-TS and open-GOP files and headers miscount frames, so there is one
way to reach a frame: decode everything before it. The conversion to 8-bit RGB goes through the same
filter as the `ffmpeg` program's, so the pixels equal `ffmpeg -fps_mode passthrough -pix_fmt rgb24`;
the plain frame conversion of PyAV differs from it by up to 91/255 on 10-bit 4:2:0 material.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import MediaError
from .clip import ClipInfo, Picture

REPAIR_HINT = "Play it to its end in a media player; copy or export it again if it stops early."


def decode_movie(path: Path) -> Iterator[Picture]:
    """Every frame of a movie in display order, rotated as its metadata says.

    Yields:
        uint8 (height, width, 3), or 4 channels when the file stores alpha.

    Raises:
        MediaError: missing, not a movie, without pictures, damaged, or of changing size.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        convert = None
        for frame in _frames(container, stream, path):
            convert = convert or _Converter(frame, stream, path)
            yield convert(frame)


def probe_movie(path: Path) -> ClipInfo:
    """Size, rate and length of a movie; decodes it once, because headers can be wrong.

    Raises:
        MediaError: as `decode_movie`; also for a movie without a single frame.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        fps = stream.average_rate or stream.guessed_rate or stream.base_rate
        convert, count, size, has_alpha = None, 0, (0, 0), False
        start = end = longest = 0.0
        for frame in _frames(container, stream, path):
            if convert is None:
                convert = _Converter(frame, stream, path)
                height, width, channels = convert(frame).shape
                size, has_alpha = (width, height), channels == 4
            convert.check(frame)
            count += 1
            start, longest = frame.time or 0.0, max(longest, (frame.time or 0.0) - start)
            end = start + float((frame.duration or 0) * (frame.time_base or 0))
        _check_complete(path, stream, end, longest)
    if count == 0:
        raise MediaError(f"{path} holds no frame.", hint=REPAIR_HINT)
    if not fps or fps <= 0:
        raise MediaError(
            f"{path} does not say its frame rate.", hint="Export it with a fixed frame rate."
        )
    return ClipInfo(
        width=size[0], height=size[1], fps=Fraction(fps), frame_count=count, has_alpha=has_alpha
    )


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise MediaError(
            f"{path} does not exist, or is not a file.",
            hint="Reconnect the drive, or choose the file again.",
        )
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes).", hint="Copy or export it again.")
    try:
        # "file:" keeps a colon in a name from being read as a protocol; the list keeps a playlist
        # that is named like a movie from reaching the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (FFmpegError, OSError) as error:
        raise MediaError(
            f"{path} cannot be read as a movie ({_reason(error)}).",
            hint="It may be incomplete or of another kind: export it as MP4, MOV or MKV.",
        ) from None
    if not container.streams.video:
        kinds = sorted({stream.type for stream in container.streams})
        container.close()
        raise MediaError(
            f"{path} holds no pictures (only {', '.join(kinds) or 'nothing'}).",
            hint="Choose a movie with a video track.",
        )
    # Decoding several frames at once hides errors: a cut-off file would merely seem shorter, and by
    # how much would depend on the number of cores.
    container.streams.video[0].thread_type = "SLICE"
    return container


def _frames(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[VideoFrame]:
    count = 0
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                if not isinstance(frame, VideoFrame):
                    continue
                if frame.is_corrupt:
                    raise MediaError(f"{path} is damaged at frame {count + 1}.", hint=REPAIR_HINT)
                count += 1
                yield frame
    except (FFmpegError, OSError) as error:
        raise MediaError(
            f"{path} is damaged or cut off after {count} frames ({_reason(error)}).",
            hint=REPAIR_HINT,
        ) from None


def _check_complete(path: Path, stream: VideoStream, end: float, longest: float) -> None:
    """Compare the end of the last frame with the length the stream states, both in seconds."""
    # A Matroska file that was cut off simply ends; only the stream's own tag tells.
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return
    declared = hours * 3600 + minutes * 60 + seconds
    # A last frame without a length of its own may be shown as long as others are.
    if declared - end > max(0.25, 3 * longest):
        raise MediaError(
            f"{path} is cut off: it holds {end:.2f} s of the {declared:.2f} s it says.",
            hint=REPAIR_HINT,
        )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


class _Converter:
    """Frames of one size and format to arrays, upright."""

    def __init__(self, frame: VideoFrame, stream: VideoStream, path: Path) -> None:
        self._path = path
        self._kind = (frame.width, frame.height, frame.format.name)
        has_alpha = any(part.is_alpha for part in frame.format.components)
        has_alpha = has_alpha and not frame.format.has_palette
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=stream.time_base or Fraction(1, 1000),
        )
        nodes = (
            source,
            graph.add("scale", "flags=bicubic"),
            graph.add("format", "rgba" if has_alpha else "rgb24"),
            graph.add("buffersink"),
        )
        graph.link_nodes(*nodes).configure()
        self._graph = graph

    def check(self, frame: VideoFrame) -> None:
        """Refuse a frame of another size or pixel format than the first."""
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._kind:
            raise MediaError(
                f"{self._path} changes from {'{}×{} px {}'.format(*self._kind)}"
                f" to {'{}×{} px {}'.format(*kind)}.",
                hint="Export it again with one size and format throughout.",
            )

    def __call__(self, frame: VideoFrame) -> Picture:
        self.check(frame)
        turn = _display_matrix(frame)
        self._graph.vpush(frame)
        picture = cast(Picture, self._graph.vpull().to_ndarray())
        return np.ascontiguousarray(_upright(picture, turn, self._path))


def _display_matrix(frame: VideoFrame) -> tuple[float, float, float, float] | None:
    side_data: Any = frame.side_data
    try:
        data = side_data["DISPLAYMATRIX"]
    except KeyError:
        return None
    values = np.frombuffer(bytes(data), np.int32)
    scale = 1 << 16
    a, b, c, d = (round(int(values[i]) / scale, 2) for i in (0, 1, 3, 4))
    return (a, b, c, d)


def _upright(
    picture: Picture, matrix: tuple[float, float, float, float] | None, path: Path
) -> Picture:
    """Apply the display matrix, x' = a·x + c·y and y' = b·x + d·y: a quarter turn or a flip."""
    if matrix is None:
        return picture
    a, b, c, d = matrix
    if (b, c) == (0, 0) and abs(a) == abs(d) == 1:
        across, down = a, d
    elif (a, d) == (0, 0) and abs(b) == abs(c) == 1:
        picture = picture.transpose(1, 0, 2)
        across, down = c, b
    else:
        raise MediaError(
            f"{path} is rotated by an angle that is not a multiple of 90°.",
            hint="Export it upright.",
        )
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
