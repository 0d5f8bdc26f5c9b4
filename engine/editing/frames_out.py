# SPDX-License-Identifier: GPL-3.0-or-later
"""From edited latents to frame files, movies and a contact sheet (torch, never bpy)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..backbones.base import Backbone
from ..job import EditJob
from ..reporter import Reporter
from ..video.geometry import WorkingSize
from ..video.sheet import ContactSheet
from ..video.writing import MovieWriter, write_frame
from .composite import composite
from .frames_in import SourceFrame, source_frames
from .smoothing import DecodedPair, steadied
from .state import Clip


def write_result_frames(
    job: EditJob,
    job_dir: Path,
    backbone: Backbone,
    clip: Clip,
    z_target: Tensor,
    size: WorkingSize,
    reporter: Reporter,
) -> tuple[int, int]:
    """Decode, composite and write every frame; one frame in memory at a time.

    Writes `frames/000001.png` …, `edited.mp4`, `edited.mkv` where asked for, and `compare.png`.

    Returns:
        Width and height of the frames, in px.
    """
    folder = job_dir / "frames"
    folder.mkdir(exist_ok=True)
    width = height = 0
    with ExitStack() as open_files:
        sheet = open_files.enter_context(ContactSheet(job_dir / "compare.png", job.frame_count))
        movies: list[MovieWriter] = []
        frames = source_frames(job, job_dir, lambda _message, _hint: None)
        decoded = steadied(
            decoded_pairs(backbone, clip.z_source, z_target, size), job.settings.smoothing_frames
        )
        for index, (frame, pair) in enumerate(zip(frames, decoded, strict=True)):
            reporter.check_cancelled()
            edited = edited_picture(frame, pair)
            write_frame(folder / f"{index + 1:06d}.png", edited)
            if not movies:
                height, width = edited.shape[:2]
                movies = [
                    open_files.enter_context(movie) for movie in _movies(job, job_dir, edited)
                ]
            for movie in movies:
                movie.write(edited)
            sheet.add(index, frame.picture, edited)
            reporter.progress(index + 1, job.frame_count)
    return width, height


def decoded_pairs(
    backbone: Backbone, z_source: Tensor, z_target: Tensor, size: WorkingSize
) -> Iterator[DecodedPair]:
    """D(z) and D(ẑ) of each frame, without padding, on the CPU.

    Args:
        backbone: Decodes.
        z_source: Source latents, `(frames, channels, h, w)`.
        z_target: Edited latents, same shape.
        size: The working size the latents belong to.
    """

    def decoded(pair: tuple[Tensor, Tensor]) -> DecodedPair:
        # Two calls of one shape: equal latents decode to equal pixels.
        target, source = (size.crop(backbone.decode(latents)).cpu() for latents in pair)
        return target, source

    pairs = zip(z_target.split(1), z_source.split(1), strict=True)
    return backbone.threads.map(decoded, pairs)


def edited_picture(frame: SourceFrame, pair: DecodedPair) -> NDArray[np.uint8]:
    """The edited frame, uint8 of the source's shape; alpha is the source's.

    Args:
        frame: The source at full size.
        pair: D(z) and D(ẑ) of this frame.
    """
    colours = composite(frame.colours(), *pair, frame.weights())
    levels = (colours[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.concatenate([levels, frame.picture[:, :, 3:]], axis=2)


def _movies(job: EditJob, job_dir: Path, picture: NDArray[np.uint8]) -> list[MovieWriter]:
    height, width = picture.shape[:2]
    fps = Fraction(*job.fps)
    movies = []
    if job.movie:
        movies.append(MovieWriter(job_dir / "edited.mp4", fps, width, height, "h264"))
    if job.lossless_movie:
        movies.append(MovieWriter(job_dir / "edited.mkv", fps, width, height, "ffv1"))
    return movies
