# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): work beside Blender that preferences and panels show.

Threads that touch no bpy; a timer redraws what shows them while they work.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

import bpy

_TICK_SECONDS = 0.25

_every: list[BackgroundWork] = []


class BackgroundWork:
    """One kind of work, in a thread of its own; one at a time.

    Args:
        name: Of the thread.

    Attributes:
        problem: What went wrong in the last work; empty when nothing did.
    """

    def __init__(self, name: str) -> None:
        self.problem = ""
        self._name = name
        self._thread: threading.Thread | None = None
        _every.append(self)

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def was_started(self) -> bool:
        """Whether it works or has worked."""
        return self._thread is not None

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread has ended, or so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def begin(self, work: Callable[[], None]) -> None:
        """Run `work` in the thread; its errors become `problem`."""
        self.problem = ""
        self._thread = threading.Thread(
            target=self._run, args=(work,), name=f"delta-strip-{self._name}", daemon=True
        )
        self._thread.start()
        # In background mode there is nothing to draw.
        if not bpy.app.background and not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, persistent=True)

    def drop(self) -> None:
        """Let nothing come of what runs; a thread cannot be stopped while it reads."""
        self._thread = None

    @property
    def _is_dropped(self) -> bool:
        """Asked by the work itself, in the thread."""
        return self._thread is not threading.current_thread()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread's end is otherwise seen by nobody
            traceback.print_exc()
            self.problem = f"Something unexpected happened: {type(error).__name__}: {error}"


def tick() -> float | None:
    """Redraw what shows the work while a thread is at it, and once after."""
    is_working = any(work.is_running for work in _every)  # first: the last redraw is after the end
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("PREFERENCES", "SEQUENCE_EDITOR"):
                area.tag_redraw()
    return _TICK_SECONDS if is_working else None


def stop_showing() -> None:
    """End the timer."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
