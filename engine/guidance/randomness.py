# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise and timesteps as pure functions of (seed, step, source-media frame) (torch, never bpy).

NumPy's Philox, keyed by a hash: any window, device, resumed run or machine sees the same numbers,
and there is no random state to save. (torch's CPU generator uses 32 bits of its seed, and its
`randn` differs by 2e-6 between CPU code paths.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

GOLDEN_RATIO = 0.6180339887498949


def generator(*key: str | int) -> np.random.Generator:
    """A generator whose numbers depend on nothing but the key."""
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def frame_noise(
    seed: int, step: int, media_frames: Sequence[int], shape: tuple[int, int, int]
) -> Tensor:
    """Standard normal noise for some frames at one step.

    Args:
        seed: The job's seed.
        step: Iteration of the optimisation; negative for the fixed probes.
        media_frames: Index of each frame in its source medium, so that the same picture gets the
            same
            noise in every window.
        shape: Channels, height and width of a frame's latents.

    Returns:
        `(frames, channels, h, w)`, float32, on the CPU.
    """
    rows = [
        generator("noise", seed, step, frame).standard_normal(shape, dtype=np.float32)
        for frame in media_frames
    ]
    return torch.from_numpy(np.stack(rows))


def draw_timestep(
    seed: int,
    step: int,
    *,
    timesteps: int,
    smallest: float,
    largest: float,
    schedule: Literal["uniform", "stratified", "descending"],
    steps: int = 1,
) -> int:
    """The timestep of one step of the optimisation.

    `uniform` draws independently: t ~ U(smallest, largest) · timesteps, as DDS and DreamMotion do.
    `stratified` walks through the same range along the golden-ratio sequence from a start that the
    seed draws: any run of n steps covers the range evenly, which a few dozen independent draws do
    not. `descending` goes from `largest` to `smallest` within `steps`, at a drawn place in each of
    as many equal parts of the range: layout first, detail last.
    """
    if schedule == "uniform":
        position = generator("timestep", seed, step).random()
    elif schedule == "descending":
        within = generator("timestep", seed, step).random()
        position = 1.0 - (min(step, steps - 1) + within) / steps
    else:
        position = (generator("timestep", seed, 0).random() + step * GOLDEN_RATIO) % 1.0
    low, high = smallest * timesteps, largest * timesteps
    return min(timesteps - 1, int(low + (high - low) * position))


def draw_phase(seed: int, step: int, window: int) -> int:
    """Where the tiling of the clip into windows begins at this step: 0 … window − 1."""
    return int(generator("phase", seed, step).integers(window))
