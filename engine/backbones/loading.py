# SPDX-License-Identifier: GPL-3.0-or-later
"""From a backbone's card to a loaded backbone on a device (torch, never bpy)."""

from __future__ import annotations

import gc
from typing import Literal

import torch

from ..errors import BackboneError, DeviceError
from ..job import Device, Precision
from ..model_folder import check_kind
from ..registry import BackboneCard, find_backbone
from ..worker_options import Memory
from .base import Backbone
from .image_mode import ImageMode
from .memory import ALL_ON_DEVICE, MemoryUse, memory_use
from .stable_diffusion import StableDiffusion
from .text_to_video import TextToVideo

LOADERS: dict[str, type[Backbone]] = {
    "text_to_video": TextToVideo,
    "stable_diffusion": StableDiffusion,
}

Role = Literal["video", "image"]
MOST_SCHEDULE_DIFFERENCE = 1e-6
"""Of ᾱ_t: rounding, not another schedule."""


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


def load_backbone(
    card: BackboneCard,
    *,
    device: torch.device,
    dtype: torch.dtype,
    memory: MemoryUse = ALL_ON_DEVICE,
) -> Backbone:
    """Load the backbone that the card describes.

    Raises:
        BackboneError: unknown kind, or an incomplete or damaged folder.
    """
    check_kind(card.folder, card.kind)
    try:
        return LOADERS[card.kind](card, device=device, dtype=dtype, memory=memory)  # type: ignore[call-arg]
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
    """Keeps the last backbones in memory, so that the next job on them starts at once.

    Args:
        memory: How much of the device's memory each may take.
    """

    def __init__(self, memory: Memory = "auto") -> None:
        self._memory: Memory = memory
        self._kept: dict[Role, tuple[object, Backbone]] = {}

    def get(
        self,
        card: BackboneCard,
        *,
        device: torch.device,
        dtype: torch.dtype,
        role: Role = "video",
    ) -> Backbone:
        """The backbone, loaded now or kept from before; another one of its role is freed first.

        A folder whose contents changed is loaded again.
        """
        key = (card.folder, card.fingerprint(), device, dtype)
        if role in self._kept and self._kept[role][0] == key:
            return self._kept[role][1]
        self._forget(role)
        memory = memory_use(self._memory, card.folder, device)
        backbone = load_backbone(card, device=device, dtype=dtype, memory=memory)
        self._kept[role] = (key, backbone)
        return backbone

    def unload(self) -> None:
        """Free the memory of the kept backbones."""
        for role in tuple(self._kept):
            self._forget(role)

    def _forget(self, role: Role) -> None:
        if self._kept.pop(role, None) is None:
            return
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def image_backbone_for(
    video: Backbone,
    name: str,
    loaded: LoadedBackbones,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Backbone:
    """The image model that guides a text-to-video model's latents jointly.

    Args:
        video: The text-to-video model.
        name: Id or folder of the image model; empty: the image mode of `video` itself.
        loaded: Keeps it.
        device: Where it runs.
        dtype: Number format of its U-Net.

    Raises:
        BackboneError: there is none, or its latents or noise schedule are others.
    """
    if not name:
        if isinstance(video, TextToVideo):
            return ImageMode(video)
        raise BackboneError(f"{video.card.title} has no image mode.", hint="Name an image model.")
    card = find_backbone(name)
    if card.kind != "stable_diffusion":
        raise BackboneError(
            f"{card.title} is of kind {card.kind}; joint guidance needs an image model.",
            hint="Name a folder whose card says stable_diffusion.",
        )
    image = loaded.get(card, device=device, dtype=dtype, role="image")
    pairs = {
        "channels of a latent": (video.latent_channels, image.latent_channels),
        "pixels per latent": (video.latent_factor, image.latent_factor),
        "timesteps": (video.timesteps, image.timesteps),
        "as scaling factor of the latents": (video.scaling_factor, image.scaling_factor),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise BackboneError(
                f"{video.card.title} has {one} {what}, {card.title} has {other}; models that "
                "guide the same latents must agree.",
                hint="Use the image model that the text-to-video model was made from.",
            )
    apart = float((video.alphas_cumprod - image.alphas_cumprod).abs().max())
    if apart > MOST_SCHEDULE_DIFFERENCE:
        raise BackboneError(
            f"The noise schedules of {video.card.title} and {card.title} differ by {apart:.3g} "
            f"(at most {MOST_SCHEDULE_DIFFERENCE:g}), so they cannot guide the same latents.",
            hint="Use the image model that the text-to-video model was made from.",
        )
    return image
