# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): an edit as a person asks for it, before it is a job.

`engine.editing.prepare.make_job` looks at the clip, the mask and the backbone's recommendations and
turns a request into a complete `EditJob`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .job import Device, Method, Precision
from .presets import Preset

MOST_THREADS = 8
"""More CPU threads than this are seldom faster: a clip has few windows, and their calls are small.
"""


def default_threads(*, is_beside_window: bool = False) -> int:
    """The CPU cores this process may use, at most `MOST_THREADS`.

    Args:
        is_beside_window: Only half of them, so that a window stays quick.
    """
    is_told = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if is_told else os.cpu_count() or 1
    return min(MOST_THREADS, max(1, cores // 2) if is_beside_window else cores)


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """What `python -m engine edit` was asked to do.

    Attributes:
        clip: Movie file, or folder of an image sequence.
        source_prompt: What is there.
        target_prompt: What should be there instead.
        mask: Movie, picture or folder of pictures, or `x,y,width,height` in px; empty for no mask.
        mask_channel: What of the mask's pictures is the mask.
        invert_mask: Swap what may change and what stays.
        feather_px: Soft transition, inward from the mask's edge.
        frames: First and last frame of the clip, counted from 1, both included; None for all.
        size: Width and height the backbone works at, in px; None to choose from the clip's size.
        method: The guidance.
        backbone: Id of an installed backbone, or its folder.
        preset: Time against quality: what becomes of the backbone's recommendation.
        settings: Fields of `EditSettings` that replace the recommendation and the preset.
        seed: Seed of noise and timesteps.
        device: Where the backbone runs.
        precision: Number format of the backbone's arithmetic.
        threads: CPU threads; part of the result's identity.
        lossless: Also write edited.mkv (FFV1), pixel-exact.
    """

    clip: Path
    source_prompt: str
    target_prompt: str
    mask: str = ""
    mask_channel: Literal["luma", "alpha"] = "luma"
    invert_mask: bool = False
    feather_px: float = 0.0
    frames: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    method: Method = "dds"
    backbone: str = "demo"
    preset: Preset = "balanced"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"
    threads: int = 1
    lossless: bool = False
