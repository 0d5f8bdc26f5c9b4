# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clip's source branch gave, kept for the next edit of the same clip (torch, never bpy).

    ROOT/IDENTITY/STEP-FRAME.safetensors

is the reference (guidance/base.py) of the window that begins at FRAME. IDENTITY is a hash of all
that it depends on, so what is read is what would be computed. Files carry a checksum; a damaged one
counts as missing. The oldest edits' folders make room for new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .. import job_store
from ..atomic_file import write_atomic
from ..errors import StorageError
from ..guidance.base import Guidance, Reference, WindowStep


class KeepsReferences(Protocol):
    """What the loop asks of whoever keeps references."""

    def get(
        self,
        guidance: Guidance,
        window_step: WindowStep,
        weights: tuple[float, ...],
        *,
        step: int,
        frame: int,
    ) -> Reference:
        """The reference of a window at a step; see `References.get`."""
        ...


@dataclass(frozen=True)
class ReferenceStore:
    """Where references are kept.

    Attributes:
        root: Folder; made when it is needed.
        limit_bytes: Most that all of it may take.
    """

    root: Path
    limit_bytes: int


class References:
    """One edit's part of a store.

    Args:
        store: The store.
        identity: See `reference_identity`.
        count: About how many references the edit has: windows times steps.
        warn: Told, with a hint, when nothing can be written.

    Attributes:
        read_count: References that an earlier edit had left whole.
    """

    def __init__(
        self,
        store: ReferenceStore,
        identity: str,
        *,
        count: int,
        warn: Callable[[str, str], None],
    ) -> None:
        self._folder = store.root / identity
        self._limit = store.limit_bytes
        self._count = count
        self._warn = warn
        self._others = _other_entries(store.root, identity)
        self._size = _size_of(self._folder)
        self._is_full = False
        self.read_count = 0
        self._keeping = threading.Lock()
        if not self._make_room(0):  # the limit was lowered
            shutil.rmtree(self._folder, ignore_errors=True)
            self._size = 0
        with contextlib.suppress(OSError):
            os.utime(self._folder)  # the newest now, also when all of it is only read

    def get(
        self,
        guidance: Guidance,
        window_step: WindowStep,
        weights: tuple[float, ...],
        *,
        step: int,
        frame: int,
    ) -> Reference:
        """The reference of a window, read as far as it is kept, and kept as far as it fits.

        Args:
            guidance: What makes it.
            window_step: As of `Guidance.reference`.
            weights: Likewise.
            step: The step.
            frame: First frame of the window.
        """
        path = self._folder / f"{step:05d}-{frame:06d}.safetensors"
        known = _read(path, window_step.z_source.device)
        reference = guidance.reference(window_step, weights, known)
        with self._keeping:  # several windows are looked at at a time
            if reference.keys() <= known.keys():
                self.read_count += bool(known)
            elif not self._is_full:
                chosen = self._that_fit(reference, window_step.z_source.nbytes)
                if chosen.keys() - known.keys():
                    self._write(path, chosen)
        return reference

    def _write(self, path: Path, tensors: Reference) -> None:
        data = save(dict(tensors), metadata={"sha256": _checksum(path, tensors)})
        self._is_full = not self._make_room(len(data))
        if self._is_full:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
        except (OSError, StorageError) as error:
            self._is_full = True
            self._warn(
                f"What the next edit of this clip could use again is not kept: {error}",
                "This edit goes on; the next one will take as long.",
            )
        else:
            self._size += len(data)

    def _that_fit(self, reference: Reference, latents_bytes: int) -> Reference:
        """All of it, else what is no larger than the latents (no keys, no values), else nothing.

        It is asked of the whole edit, so that a store is not filled with the keys of its first
        steps.
        """
        for most in (max(t.nbytes for t in reference.values()), latents_bytes):
            chosen = {name: t for name, t in reference.items() if t.nbytes <= most}
            if self._count * sum(t.nbytes for t in chosen.values()) <= self._limit:
                return {name: t.detach().cpu().contiguous() for name, t in chosen.items()}
        return {}

    def _make_room(self, more: int) -> bool:
        """Remove the oldest of the others until this fits; false when it can't."""
        if self._size + more > self._limit:
            return False
        while self._others and self._size + more + sum(self._others.values()) > self._limit:
            oldest = next(iter(self._others))
            shutil.rmtree(oldest, ignore_errors=True)
            del self._others[oldest]
        return True


def _read(path: Path, device: torch.device) -> dict[str, Tensor]:
    """What a file holds; nothing when there is none, or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError):
        return {}
    if _checksum(path, tensors) != expected:
        return {}
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _other_entries(root: Path, identity: str) -> dict[Path, int]:
    """Folder and size of all entries but one, oldest first."""
    found: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for folder in root.iterdir():
            if job_store.is_reference(folder) and folder.name != identity:
                found.append((folder.stat().st_mtime, folder))
    return {folder: _size_of(folder) for _, folder in sorted(found)}


def _size_of(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            total += path.stat().st_size
    return total


def _checksum(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Of the contents and the place: another window's file is no better than a damaged one."""
    digest = hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
