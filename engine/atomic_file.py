# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): files that are whole or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .errors import StorageError

_REPLACE_ATTEMPTS = 10 if sys.platform == "win32" else 1
_REPLACE_PAUSE_SECONDS = 0.05
_PART_NAME = re.compile(r"\.\d+\.part\.(.+)", re.DOTALL)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, or a power cut, meets all of the old or all of the new.

    Raises:
        StorageError: The folder is full, read-only or gone; what was there before is untouched.
    """
    part = part_path(path)
    try:
        with part.open("wb") as stream:
            stream.write(data.encode("utf-8") if isinstance(data, str) else data)
            stream.flush()
            os.fsync(stream.fileno())
        replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise storage_error(error, path) from error


def part_path(path: Path) -> Path:
    """Where to write a file before it is renamed to `path`: same folder, same ending, hidden."""
    return path.with_name(f".{os.getpid()}.part.{path.name}")


def sweep_parts(folder: Path, is_left_over: Callable[[str, float], bool]) -> None:
    """Remove what writers that were killed left in a folder.

    Args:
        folder: Where to look; nothing happens when it does not exist.
        is_left_over: From the name of the file to be written and the seconds since the last write,
            whether nobody can be writing it now.
    """
    with contextlib.suppress(OSError):  # a rest that stays does no harm
        for path in folder.iterdir():
            if match := _PART_NAME.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    if is_left_over(match[1], time.time() - path.lstat().st_mtime):
                        path.unlink()


def replace(part: Path, path: Path) -> None:
    """Rename over `path`; on Windows patiently, since a reader there can hold the old file open."""
    for attempt in range(1, _REPLACE_ATTEMPTS + 1):
        try:
            part.replace(path)
        except PermissionError:
            if attempt == _REPLACE_ATTEMPTS:
                raise
            time.sleep(_REPLACE_PAUSE_SECONDS)
        else:
            return


def storage_error(error: OSError, path: Path) -> StorageError:
    """What a failed write means to the person at the screen, with the path and the free space."""
    free = free_bytes(path)
    space = "" if free is None else f" ({free / 1e6:,.0f} MB free)"
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        hint = "Free some space or choose another output folder; the edit resumes where it stopped."
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        hint = "Choose an output folder that can be written to."
    else:
        hint = "Check the output folder."
    return StorageError(f"{path} cannot be written: {reason}{space}.", hint=hint)


def free_bytes(path: Path) -> int | None:
    """Free space of the file system that holds the nearest existing folder; None when unknown."""
    for folder in (path, *path.parents):
        if folder.is_dir():
            try:
                return shutil.disk_usage(folder).free
            except OSError:
                return None
    return None
