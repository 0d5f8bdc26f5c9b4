# SPDX-License-Identifier: GPL-3.0-or-later
"""From a backbone's card to a loaded backbone on a device (torch, never bpy)."""

from __future__ import annotations

import gc

import torch

from ..errors import BackboneError, DeviceError
from ..job import Device, Precision
from ..registry import BackboneCard
from .base import Backbone
from .text_to_video import TextToVideo

LOADERS: dict[str, type[Backbone]] = {"text_to_video": TextToVideo}


def choose_device(device: Device) -> torch.device:
    """The device to run on; `auto` prefers CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: the named device does not exist here.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[device]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise DeviceError(
            f"This machine has no {device} device that torch {torch.__version__} can use.",
            hint=f"Available: {there}.",
        )
    return torch.device(device)


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The U-Net's number format; `auto` is bfloat16 on CUDA and float32 elsewhere.

    bfloat16 brings nothing on a CPU (measured: 0.200 against 0.207 s a step on the demo backbone).
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def load_backbone(card: BackboneCard, *, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Load the backbone that the card describes.

    Raises:
        BackboneError: unknown kind, or an incomplete or damaged folder.
    """
    if card.kind not in LOADERS:
        raise BackboneError(
            f"{card.folder}: kind {card.kind!r} is unknown; known: {', '.join(sorted(LOADERS))}."
        )
    try:
        return LOADERS[card.kind](card, device=device, dtype=dtype)  # type: ignore[call-arg]
    except (OSError, ValueError, RuntimeError, KeyError, IndexError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise BackboneError(
            f"{card.folder} cannot be loaded: {(str(error) or repr(error)).splitlines()[0]}",
            hint="The folder may be damaged: copy or download it again.",
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device's memory ran out.

    CUDA has a class for it; the CPU's and MPS's allocators raise a plain RuntimeError.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    signs = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


class LoadedBackbones:
    """Keeps the last backbone in memory, so that the next job on it starts at once."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._backbone: Backbone | None = None

    def get(self, card: BackboneCard, *, device: torch.device, dtype: torch.dtype) -> Backbone:
        """The backbone, loaded now or kept from before; another one is freed first."""
        key = (card.folder, device, dtype)
        if self._backbone is None or key != self._key:
            self.unload()
            self._backbone = load_backbone(card, device=device, dtype=dtype)
            self._key = key
        return self._backbone

    def unload(self) -> None:
        """Free the memory of the kept backbone."""
        self._backbone = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
