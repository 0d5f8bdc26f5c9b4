# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): which paths a job may name."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from .errors import InvalidJobError


def is_absolute(path: str) -> bool:
    """Whether a path is absolute on any platform (a job may be looked at on another one)."""
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()


def check_path(path: str, where: str) -> None:
    """Refuse an empty path, a NUL byte, and a relative path that leaves the job folder."""
    if not path or "\0" in path:
        raise InvalidJobError(f"{where} is {path!r}, a path is needed.")
    if is_absolute(path):
        return
    windows = PureWindowsPath(path)  # reads both kinds of slashes
    # On Windows "C:name" and "\\name" are not absolute, yet ignore the folder they are joined to.
    if ".." in windows.parts or windows.drive or windows.root:
        raise InvalidJobError(
            f"{where} is {path!r}, which leaves the job folder.",
            hint="Use an absolute path, or one inside the job folder.",
        )
