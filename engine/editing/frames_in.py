# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job's files to a clip in latent space, with flat memory (torch, never bpy)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..backbones.base import Backbone
from ..errors import MaskError
from ..job import EditJob
from ..reporter import Reporter
from ..video.frames import read_frames
from ..video.geometry import WorkingSize, working_size
from ..video.masks import latent_mask, read_masks
from .state import Clip

Warn = Callable[[str, str], None]

LEAST_COVERAGE, MOST_COVERAGE = 0.001, 0.995
"""Shares of the picture that a mask seldom means to free."""


@dataclass(frozen=True)
class SourceFrame:
    """One frame of the clip at full size.

    Attributes:
        picture: uint8 `(height, width, 3 or 4)`.
        mask: float32 `(height, width)` in [0, 1]; none: everywhere.
    """

    picture: NDArray[np.uint8]
    mask: NDArray[np.float32] | None

    def colours(self) -> Tensor:
        """`(1, 3, H, W)` in [0, 1], without alpha."""
        levels = torch.from_numpy(np.ascontiguousarray(self.picture[:, :, :3]))
        return levels.permute(2, 0, 1)[None].float() / 255

    def weights(self) -> Tensor | None:
        """The mask, `(1, 1, H, W)`."""
        return None if self.mask is None else torch.from_numpy(self.mask)[None, None]


def source_frames(job: EditJob, job_dir: Path, warn: Warn) -> Iterator[SourceFrame]:
    """The clip's frames with their masks, one at a time, in order."""
    pictures = read_frames(job.source, job_dir)
    if job.mask is None:
        for picture in pictures:
            yield SourceFrame(picture, None)
        return
    first = next(pictures)
    height, width = first.shape[:2]
    masks = read_masks(
        job.mask, job_dir, frame_count=job.frame_count, width=width, height=height, warn=warn
    )
    for picture, mask in zip(chain([first], pictures), masks, strict=True):
        yield SourceFrame(picture, mask)


def encode_clip(
    job: EditJob, job_dir: Path, backbone: Backbone, *, pixels: int, reporter: Reporter
) -> tuple[Clip, WorkingSize, SourceFrame]:
    """Encode the source and bring the mask to the latents' size.

    Args:
        job: The edit.
        job_dir: Its folder.
        backbone: Encodes.
        pixels: Working area to aim for, in px, where the job names no size.
        reporter: Told about progress and warnings.

    Returns:
        The clip in latent space, the size at which it was encoded, and its middle frame.

    Raises:
        MediaError, MaskError: the clip or its mask cannot be used; a mask may not be 0 everywhere.
    """
    latents, masks = [], []
    covered = 0.0
    size: WorkingSize | None = None
    middle: SourceFrame | None = None

    def warn(message: str, hint: str) -> None:
        reporter.warning(message, hint=hint)

    for index, frame in enumerate(source_frames(job, job_dir, warn)):
        reporter.check_cancelled()
        if size is None:
            height, width = frame.picture.shape[:2]
            size = working_size(
                width,
                height,
                pixels=pixels,
                multiple=backbone.card.size_multiple,
                override=job.size,
            )
        if index == middle_of(job.frame_count):
            middle = frame
        latents.append(backbone.encode(size.down(frame.colours())))
        weights = frame.weights()
        if weights is None:
            weights = torch.ones(1, 1, *frame.picture.shape[:2])
        covered += float(weights.sum())
        masks.append(latent_mask(size.down(weights)[:, 0], backbone.latent_factor))
        reporter.progress(index + 1, job.frame_count)
    assert size is not None
    assert middle is not None
    z_source = torch.cat(latents)
    mask = torch.cat(masks)[:, None].to(z_source)
    share = covered / (job.frame_count * size.clip_width * size.clip_height)
    _check_coverage(share, mask, job, size, warn)
    return Clip(z_source=z_source, mask=mask, media_frames=job.source.frames), size, middle


def middle_of(frame_count: int) -> int:
    """Index of the frame that stands for a clip."""
    return frame_count // 2


def _check_coverage(
    share: float, mask: Tensor, job: EditJob, size: WorkingSize, warn: Warn
) -> None:
    """Refuse a mask that frees nothing, and say when it frees next to nothing or nearly all."""
    if share == 0:
        raise MaskError(
            f"The mask covers nothing in any of the {job.frame_count} frames.",
            hint="Paint white where the clip may change, or invert the mask.",
        )
    if not bool(mask.any()):
        raise MaskError(
            f"The mask frees nothing at the backbone's working size of {size.padded_width}×"
            f"{size.padded_height} px: what is brighter than black is too dim or too thin.",
            hint="Paint the mask in white, make it larger, or lower its feather.",
        )
    if job.mask is None:
        return
    if share > MOST_COVERAGE:
        warn(
            f"The mask frees {share:.2%} of the picture: it limits next to nothing.",
            "Invert it if it is meant the other way round.",
        )
    elif share < LEAST_COVERAGE:
        warn(
            f"The mask frees {share:.2%} of the picture: little can change there.",
            "Make it larger, or invert it if it is meant the other way round.",
        )
