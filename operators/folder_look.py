# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): looks at folders of jobs in a thread.

A folder on a network, or a drive that has gone to sleep, can keep whoever lists it waiting for
seconds, and thousands of jobs take seconds on any disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import bpy

from . import jobs
from .background_work import BackgroundWork

Found = TypeVar("Found")
_TICK_SECONDS = 0.1


class FolderLook(BackgroundWork, Generic[Found]):
    """What the folders hold, as a window shows it; in background mode at once.

    Args:
        name: Of the thread.
        read: Looks at these folders of jobs; touches no bpy.
        show: Called in Blender's own thread with what was read.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[list[Path]], Found],
        show: Callable[[Found], None],
    ) -> None:
        super().__init__(name)
        self._read, self._show = read, show
        self._found: list[Found] = []
        self._next: list[Path] | None = None
        self.timer = self._deliver  # one object: Blender knows its timers by identity

    def look(self, roots: list[Path]) -> None:
        """Look at the folders; when a look is under way, once more after it."""
        if bpy.app.background:
            self._show(self._read(roots))
        elif bpy.app.timers.is_registered(self.timer):
            self._next = roots
        else:
            self._begin(roots)
            bpy.app.timers.register(self.timer, first_interval=0.02, persistent=True)

    def close(self) -> None:
        """Show nothing more."""
        self._next = None
        self.drop()
        if bpy.app.timers.is_registered(self.timer):
            bpy.app.timers.unregister(self.timer)

    def _deliver(self) -> float | None:
        if self.is_running:
            return _TICK_SECONDS
        if self._found:
            self._show(self._found.pop())
            jobs.redraw()
        if self._next is None:
            return None
        roots, self._next = self._next, None
        self._begin(roots)
        return _TICK_SECONDS

    def _begin(self, roots: list[Path]) -> None:
        self._found.clear()
        self.begin(lambda: self._found.append(self._read(roots)))
