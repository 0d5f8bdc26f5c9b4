# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes clips as movies, image folders and a truth file. Imports numpy, PyAV and imageio."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import imageio.v3 as iio
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from demo.grammar import caption
from demo.spec import COLORS, ClipSpec, to_json
from demo.world import render_frames

Codec = Literal["libx264", "ffv1"]
Image = NDArray[np.uint8]
# Near lossless: the generator's fine texture survives.
DEFAULT_CRF = 16


def write_movie(
    path: Path,
    frames: Iterable[Image],
    fps: Fraction,
    *,
    codec: Codec = "libx264",
    crf: int = DEFAULT_CRF,
    preset: str = "medium",
) -> int:
    """Write sRGB frames, (h, w, 3) or gray (h, w), and return how many there were.

    libx264: H.264 High, yuv420p, limited range, tagged and converted as BT.709, both sides even.
    ffv1: lossless RGB for a .mkv, any size; `crf` and `preset` do not apply. The file appears under
    its name only when it is complete.
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError(f"no frames for {path.name}; a movie needs at least one")
    height, width = first.shape[:2]
    if codec == "libx264" and (height % 2 or width % 2):
        raise ValueError(
            f"{width}x{height} px; H.264 in 4:2:0 needs even sides, change the size or use ffv1"
        )
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    options = {"crf": str(crf), "preset": preset, "profile": "high"} if codec == "libx264" else {}
    try:
        with av.open(str(part), "w") as container:
            stream = container.add_stream(codec, rate=fps, options=options)
            _describe(stream, width, height, fps)
            count = _encode(container, stream, chain([first], rest))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _describe(stream: VideoStream, width: int, height: int, fps: Fraction) -> None:
    """Size, clock and colour tags of the stream."""
    context = stream.codec_context
    context.width, context.height = width, height
    context.time_base = 1 / fps
    if context.name == "libx264":
        context.pix_fmt = "yuv420p"
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
    else:
        context.pix_fmt = "bgr0"


def _encode(container: OutputContainer, stream: VideoStream, frames: Iterable[Image]) -> int:
    """Encode and flush; returns the number of frames."""
    count = 0
    for count, image in enumerate(frames, start=1):
        rgb = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        if stream.codec_context.name == "libx264":
            # Without the explicit matrix swscale converts with BT.601 whatever the tags say.
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation="BICUBIC",
            )
        frame.pts = count - 1
        frame.time_base = stream.codec_context.time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    return count


def write_images(folder: Path, frames: Iterable[Image]) -> int:
    """Write (h, w, 3) or gray (h, w) frames as 000001.png, 000002.png, ...; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, image in enumerate(frames, start=1):
        iio.imwrite(folder / f"{count:06d}.png", image)
    return count


def write_clip(
    spec: ClipSpec, folder: Path, *, crf: int = DEFAULT_CRF, use_mask_movie: bool = False
) -> None:
    """Leave clip.mp4, mask/000001.png ..., truth.json and, if wanted, a lossless mask.mkv.

    The mask is the object's exact coverage, gray levels 0..255. Memory does not grow with length.
    """
    folder.mkdir(parents=True, exist_ok=True)
    centres: list[list[float]] = []

    def images() -> Iterable[Image]:
        for number, frame in enumerate(render_frames(spec), start=1):
            mask = np.rint(frame.alpha * 255).astype(np.uint8)
            write_path = folder / "mask" / f"{number:06d}.png"
            iio.imwrite(write_path, mask)
            centres.append([round(float(v), 4) for v in frame.centre])
            yield frame.image

    (folder / "mask").mkdir(exist_ok=True)
    write_movie(folder / "clip.mp4", images(), spec.fps, crf=crf)
    if use_mask_movie:
        masks = (np.rint(f.alpha * 255).astype(np.uint8) for f in render_frames(spec))
        write_movie(folder / "mask.mkv", masks, spec.fps, codec="ffv1")
    truth = {
        "caption": caption(spec),
        "spec": to_json(spec),
        "object_rgb": COLORS[spec.color],
        "centres_px": centres,
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
