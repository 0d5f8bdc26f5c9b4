# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine has to run a job on (torch, never bpy)."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import torch

from ..backbones.loading import choose_device
from ..errors import OutOfMemoryError
from ..protocol import Ready

_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "numpy", "av")


def ready() -> Ready:
    """The device that `auto` means here, and its free memory."""
    device = choose_device("auto")
    entry = _entry(device)
    return Ready(f"{device.type} ({entry['name']})", torch.__version__, entry["free_bytes"])


def out_of_memory(device: torch.device, error: BaseException) -> OutOfMemoryError:
    """The error for a person: what the allocator asked for, as far as it says so, and what is free.

    Args:
        device: Where the edit ran.
        error: The allocator's.
    """
    found, free = _entry(device), ""
    if found["free_bytes"]:
        free_gb, total_gb = (found[name] / 2**30 for name in ("free_bytes", "total_bytes"))
        free = f", of whose {total_gb:.1f} GiB {free_gb:.1f} are free"
    said = str(error).splitlines()[0] if str(error) else "no more could be had"
    return OutOfMemoryError(
        f"The edit does not fit into the memory of {device}{free}: {said}",
        hint="Set a smaller working size, or close other programs that use the device.",
    )


def versions() -> dict[str, str]:
    """Version of each package that decides about the result."""
    return {name: metadata.version(name) for name in _PACKAGES}


def arithmetic(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """What decides about the last bits: latents of another are not gone on with.

    Args:
        device: Where the edit runs; processors with other instructions, and other GPUs, compute
            other sums.
        dtype: Of the U-Net.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    name = capability if device.type == "cpu" else str(_entry(device)["name"])
    packages = (f"{package} {version}" for package, version in versions().items())
    return (device.type, name, str(dtype), *packages)


def devices() -> list[dict[str, Any]]:
    """All devices: id, name, total and free memory in bytes (0 where it cannot be known)."""
    found: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        found.append(_device(f"cuda:{index}", name, total, free))
    if torch.backends.mps.is_available():
        total = torch.mps.recommended_max_memory()
        found.append(_device("mps", "Metal", total, total - torch.mps.driver_allocated_memory()))
    total, free = _memory()
    found.append(_device("cpu", platform.processor() or platform.machine(), total, free))
    return found


def _entry(device: torch.device) -> dict[str, Any]:
    """The first of `devices` that is of a device's type."""
    return next(entry for entry in devices() if entry["id"].split(":")[0] == device.type)


def _device(device_id: str, name: str, total: int, free: int) -> dict[str, Any]:
    return {"id": device_id, "name": name, "total_bytes": total, "free_bytes": free}


def _memory() -> tuple[int, int]:
    """Total and free bytes of the computer's memory; 0 on Windows, where stdlib cannot tell."""
    if not hasattr(os, "sysconf"):
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    is_known = "SC_AVPHYS_PAGES" in os.sysconf_names
    return total, page * os.sysconf("SC_AVPHYS_PAGES") if is_known else 0
