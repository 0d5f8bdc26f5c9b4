# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): work beside Blender that the preferences show.

Threads that touch no bpy; a timer redraws the preferences while they work.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ..engine.errors import CancelledError, EngineError
from .words import n_

if TYPE_CHECKING:  # imported late: 2 ms that Blender's start need not spend
    from ..engine.environment import EnvironmentState
    from ..engine.graphics import Gpu
    from ..engine.setup_progress import SetupProgress

_TICK_SECONDS = 0.25


@dataclass
class Setup:
    """What the setup thread does, how far it is, and how the last one ended."""

    line: str = ""
    problem: str = ""
    outcome: str = ""
    state: EnvironmentState | None = None
    root: Path | None = None
    progress: SetupProgress | None = None
    log: Path | None = None
    changes_engine: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work."""
        return self.thread is not None and self.thread.is_alive()

    def start(
        self,
        work: Callable[[], EnvironmentState | None],
        *,
        log: Path,
        changes_engine: bool,
        progress: SetupProgress | None = None,
    ) -> None:
        """Run `work` in a thread; its errors become `problem`.

        Args:
            work: Gives the new state of the engine's own environment, None when it is unchanged.
            log: File that all lines are written to, anew.
            changes_engine: Whether no edit may begin meanwhile.
            progress: Told each line.
        """
        self.line = self.problem = self.outcome = ""
        self.progress, self.log, self.changes_engine = progress, log, changes_engine
        self.cancel.clear()
        with contextlib.suppress(OSError):  # without a log the work is worth as much
            log.write_text(time.strftime("%Y-%m-%d %H:%M:%S\n"), encoding="utf-8")
        self.thread = threading.Thread(
            target=self._run, args=(work,), name="delta-strip-setup", daemon=True
        )
        self.thread.start()
        start_showing()

    def show(self, line: str) -> None:
        """Take a line of progress."""
        self.line = line or self.line
        if self.progress is not None:
            self.progress.feed(line)
        if self.log is not None:
            with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def _run(self, work: Callable[[], EnvironmentState | None]) -> None:
        try:
            self.state = work() or self.state
        except CancelledError:
            self.show("Cancelled.")
            self.outcome = n_("Cancelled. What worked before still does.")
        except EngineError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"The engine could not be set up: {error}."
        except Exception as error:  # noqa: BLE001 - a thread's end is otherwise seen by nobody
            traceback.print_exc()
            self.problem = f"Something unexpected happened: {type(error).__name__}: {error}"
        if self.problem:
            self.show(self.problem)
        self.changes_engine = False


class Machine:
    """What the computer has, found out once, beside Blender: the driver may take seconds."""

    def __init__(self) -> None:
        self.gpus: tuple[Gpu, ...] = ()
        self._thread: threading.Thread | None = None

    @property
    def is_looking(self) -> bool:
        """Whether the answer is still to come."""
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> None:
        """Begin to look; later calls do nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="delta-strip-gpu", daemon=True)
            self._thread.start()
            start_showing()

    def wait(self, seconds: float) -> None:
        """Look, and wait for the answer."""
        self.look()
        if self._thread is not None:
            self._thread.join(seconds)

    def _look(self) -> None:
        from ..engine.graphics import find_gpus  # here: what Blender's start need not spend

        self.gpus = find_gpus()


setup = Setup()
machine = Machine()

watched: list[Callable[[], bool]] = [
    lambda: setup.is_running,
    lambda: machine.is_looking,
]
"""Whether something works beside Blender that the preferences show."""


def tick() -> float | None:
    """Redraw the preferences while a thread works, and once after."""
    is_working = any(works() for works in watched)  # first: the last redraw comes after the end
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("PREFERENCES", "SEQUENCE_EDITOR"):
                area.tag_redraw()
    return _TICK_SECONDS if is_working else None


def start_showing() -> None:
    """Redraw from now until the threads end; in background mode there is nothing to draw."""
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, persistent=True)


def stop() -> None:
    """End the setup and the timer."""
    setup.cancel.set()
    if setup.thread is not None:
        setup.thread.join(timeout=10)
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
