# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): one holder at a time, across processes.

The operating system holds the lock and frees it when its process ends, however it ends: there is no
stale lock to recognise, and no process number that may have been given to another program.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from .errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_RETRY_SECONDS = 0.02
# A byte no one reads: on Windows a locked range cannot be read by others.
_WINDOWS_OFFSET = 1 << 30
# Some network folders cannot lock. An edit there is worth more than the protection.
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class FileLock:
    """A lock on a file that stays after use (removing it would let two holders in).

    Args:
        path: The lock file; it is created when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, wait_seconds: float = 0.5) -> bool:
        """Take the lock; False when someone else, also in this process, keeps it.

        Args:
            wait_seconds: How long to try; more than 0, since `is_taken` elsewhere holds it for an
                instant.

        Raises:
            StorageError: The file cannot be made.
        """
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                hint="Choose a folder that can be written to.",
            ) from None
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor, is_shared=False):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return False
            time.sleep(_RETRY_SECONDS)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; nothing when it is not held."""
        if self._descriptor is None:
            return
        if sys.platform == "win32":  # closing alone frees it "some time later"
            os.lseek(self._descriptor, _WINDOWS_OFFSET, os.SEEK_SET)
            msvcrt.locking(self._descriptor, msvcrt.LK_UNLCK, 1)
        os.close(self._descriptor)
        self._descriptor = None


def is_taken(path: Path) -> bool:
    """Whether anyone holds the lock at this path; never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, is_shared=True)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, *, is_shared: bool) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _WINDOWS_OFFSET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _CANNOT_LOCK
    return True
