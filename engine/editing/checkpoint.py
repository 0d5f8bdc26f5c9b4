# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving and restoring an optimisation, bound to the job it belongs to (torch, never bpy)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..atomic_file import write_atomic
from ..job_store import CHECKPOINT
from ..schema import dumps, loads
from .state import EditState

_TENSORS = ("z_target", "z_average", "first_moment", "second_moment")
_NUMBERS = [f.name for f in fields(EditState) if f.name not in _TENSORS]


def save_checkpoint(job_dir: Path, state: EditState, identity: str) -> None:
    """Write the state atomically: a reader sees the old checkpoint or the new one, never a torn
    one."""
    numbers = {name: getattr(state, name) for name in _NUMBERS}
    data = save(
        {name: getattr(state, name).detach().cpu().contiguous() for name in _TENSORS},
        metadata={"identity": identity, "numbers": dumps(numbers)},
    )
    write_atomic(job_dir / CHECKPOINT, data)


def load_checkpoint(job_dir: Path, identity: str, device: torch.device) -> EditState | None:
    """The saved state; none when there is none, or it is damaged or of another job."""
    path = job_dir / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != identity:
                return None
            numbers = loads(metadata["numbers"])
            tensors = {name: file.get_tensor(name).to(device) for name in _TENSORS}
    except (SafetensorError, OSError, KeyError):
        return None
    for name in ("gradient_norms", "update_norms", "term_weights"):
        numbers[name] = tuple(numbers[name])
    return EditState(**tensors, **numbers)


def remove_checkpoint(job_dir: Path) -> None:
    """Remove the checkpoint of a finished job."""
    (job_dir / CHECKPOINT).unlink(missing_ok=True)
