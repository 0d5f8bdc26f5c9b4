# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): write frames and movies, whole or not at all.

Everything is written under a temporary name beside its target and renamed when complete.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from av.video.stream import VideoStream
from PIL import Image

from ..atomic_file import part_path, replace, storage_error, write_atomic
from ..errors import StorageError
from .clip import Picture

Codec = Literal["h264", "ffv1"]
_CONTAINER: dict[Codec, str] = {"h264": "mp4", "ffv1": "matroska"}


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from None
    except FFmpegError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", hint="Check the output folder."
        ) from None


def write_frame(path: Path, picture: Picture) -> None:
    """Write a frame as PNG; equal pixels give equal files.

    Args:
        path: Target; an existing file is replaced in one moment.
        picture: uint8 (height, width, 3 or 4).

    Raises:
        StorageError: disk full, folder missing or read-only.
    """
    buffer = io.BytesIO()
    # Level 1: a third of the time of the default level for about a tenth more bytes.
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=1)
    write_atomic(path, buffer.getvalue())


class MovieWriter:
    """Write frames into a movie; the file appears when the `with` block ends without an error.

    "h264": MP4, yuv420p, BT.709, limited range, which every player and browser shows. It needs even
    sizes: an odd width or height gains one repeated column or row at the right or bottom. Alpha is
    shown over black. "ffv1": Matroska, RGB or RGBA, every pixel exact, any size. Without a frame no
    file is made.

    Args:
        path: Target; `.mp4` for "h264" and `.mkv` for "ffv1" by custom, the codec decides.
        fps: Frames per second, exact (30000/1001 stays so).
        width: Width of the frames given to `write`, in px.
        height: Height of the frames, in px.
        codec: See above.

    Raises:
        StorageError: disk full, folder missing or read-only.
    """

    def __init__(
        self, path: Path, fps: Fraction, width: int, height: int, codec: Codec = "h264"
    ) -> None:
        self.path = path
        self.fps = fps
        self.size = (width, height)
        self.codec: Codec = codec
        self.frame_count = 0
        self._part = part_path(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._has_alpha = False

    def __enter__(self) -> Self:
        with _storage_errors(self.path):
            self._container = av.open(f"file:{self._part}", "w", format=_CONTAINER[self.codec])
        return self

    def write(self, picture: Picture) -> None:
        """Append a frame, uint8 (height, width, 3 or 4); the first one decides about alpha.

        Raises:
            ValueError: a frame of another size or number of channels.
            StorageError: disk full.
        """
        if self._container is None:
            raise ValueError("write outside of the with block")
        height, width, channels = picture.shape
        with _storage_errors(self.path):
            if self._stream is None:
                self._has_alpha = channels == 4
                self._stream = self._add_stream(self._container)
            if (width, height) != self.size or (channels == 4) != self._has_alpha:
                raise ValueError(f"frame of {picture.shape}, movie of {self.size}")
            frame = self._converted(picture)
            frame.pts = self.frame_count
            frame.time_base = 1 / self.fps
            self._container.mux(self._stream.encode(frame))
        self.frame_count += 1

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        width, height = self.size
        if self.codec == "ffv1":
            options = {"level": "3", "slicecrc": "1"}
            stream = container.add_stream("ffv1", rate=self.fps, options=options)
            stream.width, stream.height = width, height
            stream.pix_fmt = "bgra" if self._has_alpha else "bgr0"
            return stream
        # A short lookahead and two threads: the default keeps some 60 frames, which alone made the
        # peak memory of a 160-frame job a tenth larger than that of a short one.
        options = {
            "crf": "16",
            "preset": "medium",
            "x264-params": "rc-lookahead=10:sync-lookahead=0:threads=2",
        }
        stream = container.add_stream("libx264", rate=self.fps, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range = ColorRange.MPEG
        context.colorspace = 1  # AVCOL_SPC_BT709; the enumeration of PyAV counts like swscale
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        return stream

    def _converted(self, picture: Picture) -> VideoFrame:
        if self.codec == "ffv1":
            if self._has_alpha:
                return VideoFrame.from_ndarray(picture, format="rgba").reformat(format="bgra")
            return VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")
        if self._has_alpha:
            wide = picture.astype(np.uint16)
            picture = ((wide[:, :, :3] * wide[:, :, 3:] + 127) // 255).astype(np.uint8)
        height, width = picture.shape[:2]
        if width % 2 or height % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        return frame.reformat(
            format="yuv420p",
            interpolation=Interpolation.BICUBIC
            | Interpolation.ACCURATE_RND
            | Interpolation.FULL_CHR_H_INP,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._container is None:
            return
        try:
            with _storage_errors(self.path):
                if kind is None and self._stream is not None:
                    self._container.mux(self._stream.encode(None))
                self._container.close()
                if kind is None and self._stream is not None:
                    replace(self._part, self.path)
        finally:
            self._container = None
            self._part.unlink(missing_ok=True)
