# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a device's memory a backbone takes; changes no pixel (torch, never bpy)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..worker_options import Memory

_PLENTY = 0.5
"""Weights that take at most this share of the free memory leave room for any window's work."""
_SCARCE = 0.8
"""Weights that take more than this share leave so little that backward passes must keep less."""


@dataclass(frozen=True)
class MemoryUse:
    """What a backbone does to take less memory.

    Attributes:
        rests_parts: U-Net, autoencoder and text encoder wait in main memory while another of them
            works on the device; they take turns a few times a job.
        recomputes: Passes with a graph keep less and compute more.
    """

    rests_parts: bool = False
    recomputes: bool = False


ALL_ON_DEVICE = MemoryUse()
PRESETS: dict[Memory, MemoryUse] = {
    "low": MemoryUse(rests_parts=True, recomputes=True),
    "medium": MemoryUse(rests_parts=True),
    "high": ALL_ON_DEVICE,
}


def memory_use(preset: Memory, folder: Path, device: torch.device) -> MemoryUse:
    """What a preset means for a model on a device.

    Args:
        preset: `auto` compares the size of the weights with the device's free memory.
        folder: The model's.
        device: Where it will run; only on CUDA are its memory and the main memory two things.
    """
    if device.type != "cuda":
        use = ALL_ON_DEVICE if preset == "auto" else PRESETS[preset]
        return replace(use, rests_parts=False)
    if preset != "auto":
        return PRESETS[preset]
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return choose(weights, torch.cuda.mem_get_info(device)[0])


def choose(weights_bytes: int, free_bytes: int) -> MemoryUse:
    """The automatic choice for weights of this size, as they are on the disk."""
    if weights_bytes <= _PLENTY * free_bytes:
        return ALL_ON_DEVICE
    return PRESETS["medium" if weights_bytes <= _SCARCE * free_bytes else "low"]
