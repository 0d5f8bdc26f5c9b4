# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): what of old jobs can be removed, and its size.

A result is never removed, nor a job that runs or is claimed, nor one that Blender did not make.
Failed and cancelled jobs go altogether. Of imported ones goes what made them (rendered sources,
masks, checkpoint): strips show their frames. What is kept of clips for their next edit goes too,
unless a job beside it is claimed and may be reading it. All this is looked at once more at the
moment of removing: a job may be retried while others are still being measured.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import job_store
from .errors import InvalidJobError, StorageError

_WORKING_FILES = ("source", "mask", job_store.CHECKPOINT)


@dataclass(frozen=True)
class Cleaned:
    """What was removed."""

    folders: tuple[Path, ...]
    bytes: int


@dataclass(frozen=True)
class Removable:
    """What of one job can go, or what is kept of one clip.

    Attributes:
        folder: The job's, or the clip's.
        paths: Files and folders.
        bytes: Their size.
        last_change: Seconds since the epoch.
    """

    folder: Path
    paths: tuple[Path, ...]
    bytes: int
    last_change: float


def removable(roots: Iterable[Path]) -> list[Removable]:
    """What can go in these folders of jobs, oldest first."""
    found = []
    for root in dict.fromkeys(roots):
        jobs = job_store.list_jobs(root)
        unclaimed = [folder for folder in jobs if not job_store.is_claimed(folder)]
        parts = [(folder, _paths(folder)) for folder in unclaimed]
        if len(unclaimed) == len(jobs):
            parts += [(folder, (folder,)) for folder in _references(root)]
        for folder, paths in parts:
            if paths:
                size = sum(_size(path) for path in paths)
                found.append(Removable(folder, paths, size, job_store.last_change(folder)))
    return sorted(found, key=lambda item: item.last_change)


def clean(roots: Iterable[Path], *, keep_bytes: int = 0) -> Cleaned:
    """Remove what can go, oldest first, until no more than `keep_bytes` of it is left."""
    items = removable(roots)
    left = sum(item.bytes for item in items)
    removed: list[Path] = []
    freed = 0
    for item in items:
        if left <= keep_bytes:
            break
        left -= item.bytes
        for path, size in _removed(item):
            removed.append(path)
            freed += size
    return Cleaned(tuple(removed), freed)


def _removed(item: Removable) -> Iterator[tuple[Path, int]]:
    """Remove what may still go of an item; yields what went, and its size."""
    if job_store.is_reference(item.folder):
        jobs = job_store.list_jobs(item.folder.parent.parent)
        if not any(map(job_store.is_claimed, jobs)):
            size = _size(item.folder)
            if job_store.remove(item.folder):
                yield item.folder, size
        return
    try:
        lock = job_store.claim(item.folder)
    except StorageError:  # it has gone, or nothing in it can be changed
        return
    if lock is None:
        return
    try:
        for path in _paths(item.folder):
            size = _size(path)
            is_whole = path == item.folder
            if job_store.remove_job(path, lock) if is_whole else job_store.remove(path):
                yield path, size
    finally:
        lock.release()


def _paths(folder: Path) -> tuple[Path, ...]:
    """What may go of a job."""
    if not (folder / job_store.PLACEMENT).exists():
        return ()  # of a command line, in a folder that is an editor's own
    try:
        how = job_store.state(folder)
        is_hopeless = how == "failed" and not job_store.is_worth_offering(folder)
    except InvalidJobError:  # another Blender removes it at this moment
        return ()
    if how == "cancelled" or is_hopeless:
        return (folder,)
    if how == "imported":
        return tuple(path for name in _WORKING_FILES if (path := folder / name).exists())
    return ()


def _references(root: Path) -> list[Path]:
    try:
        return [
            path for path in (root / job_store.REFERENCES).iterdir() if job_store.is_reference(path)
        ]
    except OSError:
        return []


def _size(path: Path) -> int:
    """Bytes of the files; one that another Blender removes at this moment counts as nothing."""
    inner = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    total = 0
    for file in (path, *inner):
        with contextlib.suppress(OSError):
            status = file.lstat()
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
