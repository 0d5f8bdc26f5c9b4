# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through background_work, never torch): the setup of the engine, and the look
at this computer's GPUs, each in its thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.errors import CancelledError, EngineError
from .background_work import BackgroundWork
from .words import n_

if TYPE_CHECKING:  # imported late: 2 ms that Blender's start need not spend
    from ..engine.environment import EnvironmentState
    from ..engine.graphics import Gpu
    from ..engine.setup_progress import SetupProgress


class Setup(BackgroundWork):
    """What the setup thread does, how far it is, and how the last one ended."""

    def __init__(self) -> None:
        super().__init__("setup")
        self.line = ""
        self.outcome = ""
        self.state: EnvironmentState | None = None
        self.root: Path | None = None
        self.progress: SetupProgress | None = None
        self.log: Path | None = None
        self.changes_engine = False
        self.cancel = threading.Event()

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
        self.line = self.outcome = ""
        self.progress, self.log, self.changes_engine = progress, log, changes_engine
        self.cancel.clear()
        with contextlib.suppress(OSError):  # without a log the work is worth as much
            log.write_text(time.strftime("%Y-%m-%d %H:%M:%S\n"), encoding="utf-8")
        self.begin(lambda: self._work(work))

    def show(self, line: str) -> None:
        """Take a line of progress."""
        self.line = line or self.line
        if self.progress is not None:
            self.progress.feed(line)
        if self.log is not None:
            with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def _work(self, work: Callable[[], EnvironmentState | None]) -> None:
        try:
            self.state = work() or self.state
        except CancelledError:
            self.show("Cancelled.")
            self.outcome = n_("Cancelled. What worked before still does.")
        except EngineError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"The engine could not be set up: {error}."

    def _run(self, work: Callable[[], None]) -> None:
        super()._run(work)
        if self.problem:
            self.show(self.problem)
        self.changes_engine = False


class Machine(BackgroundWork):
    """What the computer has, found out once, beside Blender: the driver may take seconds."""

    def __init__(self) -> None:
        super().__init__("gpu")
        self.gpus: tuple[Gpu, ...] = ()

    def look(self) -> None:
        """Begin to look; later calls do nothing."""
        if not self.was_started:
            self.begin(self._look)

    def _look(self) -> None:
        from ..engine.graphics import find_gpus  # here: what Blender's start need not spend

        self.gpus = find_gpus()


setup = Setup()
machine = Machine()


def stop() -> None:
    """End the setup."""
    setup.cancel.set()
    setup.wait(10)
