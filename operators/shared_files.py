# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): small files that all Blender versions of a user share.

Blender's folder for an extension belongs to one release series. What an editor told us of model
folders, where jobs were made, and how long edits take here is as true after an upgrade.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import bpy

from .. import preferences
from ..engine.atomic_file import write_atomic
from ..engine.errors import EngineError
from ..engine.file_lock import FileLock


def shared_folder() -> Path:
    """Beside Blender's folders of the single series; inside where the user moved that folder."""
    user = Path(bpy.utils.resource_path("USER"))
    is_of_a_series = re.fullmatch(r"\d+\.\d+", user.name)
    return (user.parent if is_of_a_series else user) / "delta_strip"


def shared_file(name: str) -> Path:
    """A file's place; what an earlier version of the extension left in Blender's own is taken over.

    Args:
        name: Of the file.
    """
    path = shared_folder() / name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = preferences.user_folder() / name
            if before.is_file():
                write_atomic(path, before.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, EngineError) as error:
            # Whoever reads finds nothing, whoever writes says why.
            print(f"Delta Strip: {path}: {error}")
    return path


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Inside, no other Blender changes this file: read it anew, and write it.

    Touches no bpy.

    Args:
        path: A shared file.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire()  # not for long: then rather a lost entry than a frozen window
    except EngineError as error:
        print(f"Delta Strip: {error}")
    try:
        yield
    finally:
        lock.release()
