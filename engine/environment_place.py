# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): where an environment is built, and how it takes the
old one's place.

A new environment is made beside the old one, in ``<root>.setup``, on the same disk, so that the
change is two renames. A virtual environment can be renamed as long as it is used through its
interpreter (``python -m …``, which is all we do); the scripts in ``bin`` are rewritten on top of
that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .environment import Flavour, python_of
from .errors import EnvironmentSetupError
from .file_lock import FileLock, is_taken

NEEDED_GB: dict[Flavour, float] = {"cpu": 2.0, "cuda": 8.0}  # measured 1.5 installed, plus archives


def beside(root: Path, role: str) -> Path:
    """A working place next to the environment, on the same disk; cleaned by the next setup."""
    return root.parent / f"{root.name}.setup" / role


def free_bytes(path: Path) -> int:
    """Free space on the disk that a file or folder is, or would be, on; 0 for a missing drive."""
    folder = next((parent for parent in path.absolute().parents if parent.exists()), None)
    return shutil.disk_usage(folder).free if folder else 0


def require_space(root: Path, flavour: Flavour) -> None:
    """Refuse to begin when the disk cannot hold the environment.

    Raises:
        EnvironmentSetupError: With the free and the needed space.
    """
    free_gb = free_bytes(root) / 1e9
    if free_gb < NEEDED_GB[flavour]:
        raise EnvironmentSetupError(
            f"The disk of {root} has {free_gb:.1f} GB free; the {flavour} engine needs "
            f"{NEEDED_GB[flavour]:.1f} GB.",
            hint="Free some space, or choose another folder for the engine.",
        )


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Let one process at a time work on an environment; a crash releases the lock.

    Raises:
        EnvironmentSetupError: Another process does.
    """
    path = beside(root, "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    if not lock.acquire():
        raise EnvironmentSetupError(
            f"Another program is installing into {root} right now.",
            hint="Wait until it has finished.",
        )
    try:
        yield
    finally:
        lock.release()


def was_interrupted(root: Path) -> bool:
    """Whether a setup ended in the middle (a crash, a power cut), and nobody works on it now."""
    rests = any(beside(root, role).exists() for role in ("new", "old"))
    return rests and not is_taken(beside(root, "lock"))


def put_interrupted_switch_right(root: Path) -> None:
    """Undo or clean up what a setup that was interrupted left behind; only while `exclusive`."""
    old = beside(root, "old")
    if old.exists() and not root.exists():
        old.rename(root)
    for role in ("old", "new", "tmp"):
        shutil.rmtree(beside(root, role), ignore_errors=True)


def rewrite_scripts(new: Path, root: Path) -> None:
    """Make the text files in ``bin`` name the folder that the environment will have."""
    before, after = os.fsencode(new), os.fsencode(root)
    for script in [new / "pyvenv.cfg", *python_of(new).parent.iterdir()]:
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if before in content and b"\0" not in content:  # .exe launchers stay as they are
                script.write_bytes(content.replace(before, after))


def switch(new: Path, root: Path) -> None:
    """Put the new environment in the old one's place.

    Raises:
        EnvironmentSetupError: A program uses the old one, which stays.
    """
    old = beside(root, "old")
    try:
        if root.exists():
            root.rename(old)
        new.rename(root)
    except OSError as error:
        if old.exists() and not root.exists():
            old.rename(root)
        raise _in_use(f"The new environment cannot take the place of {root}", error) from error
    shutil.rmtree(old, ignore_errors=True)


def take_away(root: Path) -> None:
    """Remove an environment; only while `exclusive`.

    It is renamed first: a program that uses it must not lose the half of it.

    Raises:
        EnvironmentSetupError: A program uses it, or it cannot be written.
    """
    old = beside(root, "old")
    try:
        if root.exists():
            root.rename(old)
        shutil.rmtree(old, ignore_errors=False) if old.exists() else None
    except OSError as error:
        raise _in_use(f"{root} cannot be removed", error) from error


def _in_use(what: str, error: OSError) -> EnvironmentSetupError:
    return EnvironmentSetupError(
        f"{what}: {error.strerror or error}.",
        hint="Stop the engine and every program that uses it, then try again.",
    )
