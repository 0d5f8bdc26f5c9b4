# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through others, never torch): the look at a model folder, in a thread.

It reads gigabytes; what it found is kept in the list of model folders.
"""

from __future__ import annotations

import threading
import traceback
from pathlib import Path

from . import model_choice
from .model_choice import known
from .setup_task import start_showing


class Look:
    """The look at one model folder."""

    def __init__(self) -> None:
        self.folder = ""
        self._thread: threading.Thread | None = None

    def works(self) -> bool:
        """Whether a folder is being looked at."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> None:
        """Until the look has ended."""
        if self._thread is not None:
            self._thread.join()

    def start(self, folder: Path) -> None:
        """Add a folder to the list, or look at it again."""
        path = model_choice.library_file()
        _ = known.library  # read here: the thread touches no bpy
        self.folder = str(folder)
        self._thread = threading.Thread(
            target=self._run, args=(folder, path), name="delta-strip-models", daemon=True
        )
        self._thread.start()
        start_showing()

    def drop(self) -> None:
        """Let nothing come of the look; the thread itself cannot be stopped while it reads."""
        self._thread = None

    def _run(self, folder: Path, path: Path) -> None:
        from ..engine.model_library import ModelEntry, examine  # late, as in model_choice

        try:
            entry = examine(folder)
        except Exception as error:  # noqa: BLE001 - a thread's end is otherwise seen by nobody
            traceback.print_exc()
            problem = f"Something unexpected happened: {type(error).__name__}: {error}"
            entry = ModelEntry(folder=str(folder), problem=problem)
        if self._thread is threading.current_thread():
            known.keep(known.library.with_entry(entry), path)


look = Look()
