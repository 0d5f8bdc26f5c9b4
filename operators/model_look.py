# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through others, never torch): the look at a model folder, in a thread.

It reads gigabytes; what it found is kept in the list of model folders.
"""

from __future__ import annotations

from pathlib import Path

from . import model_choice
from .background_work import BackgroundWork
from .model_choice import known


class Look(BackgroundWork):
    """The look at one model folder."""

    def __init__(self) -> None:
        super().__init__("models")
        self.folder = ""

    def start(self, folder: Path) -> None:
        """Add a folder to the list, or look at it again."""
        path = model_choice.library_file()
        _ = known.library  # read here: the thread touches no bpy
        self.folder = str(folder)
        self.begin(lambda: self._examine(folder, path))

    def _examine(self, folder: Path, path: Path) -> None:
        from ..engine.model_library import examine  # late, as in model_choice

        entry = examine(folder)
        if not self._is_dropped:
            known.change(lambda library: library.with_entry(entry), path)


look = Look()
