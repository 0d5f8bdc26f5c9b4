# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): how a running job talks to whoever started it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from .errors import CancelledError
from .protocol import Message, Notice, Preview, Progress, Stage, StageName
from .time_left import TimeLeft

_PROGRESS_SECONDS = 0.1


class Reporter:
    """What a job calls while it runs. This base keeps silent and never cancels.

    Attributes:
        wants_previews: Whether anyone looks at pictures of the running job.
    """

    wants_previews = False

    def stage(self, name: StageName) -> None:
        """The job enters a stage."""

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` units of the current stage are finished."""

    def preview(self, path: Path) -> None:
        """A new picture of the running job is there."""

    def warning(self, message: str, *, hint: str = "") -> None:
        """Something the editor should know; the job goes on."""

    def check_cancelled(self) -> None:
        """Return at once, or raise `CancelledError` when a cancel was asked for."""


class ProtocolReporter(Reporter):
    """Sends what a job says as messages.

    Args:
        send: Takes each message.
        job: The job's folder, as the messages name it.
        cancel: Set when the job shall stop.
        clock: Monotonic seconds.
    """

    wants_previews = True

    def __init__(
        self,
        send: Callable[[Message], None],
        *,
        job: str,
        cancel: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._job = job
        self._cancel = cancel
        self._clock = clock
        self._time_left = TimeLeft(clock)
        self._stage: StageName = "loading"
        self._sent = float("-inf")

    def stage(self, name: StageName) -> None:
        """The job enters a stage."""
        self._stage = name
        self._time_left.stage(name)
        self._sent = float("-inf")
        self._send(Stage(self._job, name))

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` units are finished; at most ten messages a second, and the last."""
        self._time_left.progress(done, total)
        now = self._clock()
        if done < total and now - self._sent < _PROGRESS_SECONDS:
            return
        self._sent = now
        seconds_left = round(self._time_left.seconds(), 1)
        self._send(Progress(self._job, self._stage, done, total, seconds_left))

    def preview(self, path: Path) -> None:
        """A new picture of the running job is there."""
        self._send(Preview(self._job, str(path)))

    def warning(self, message: str, *, hint: str = "") -> None:
        """Something the editor should know; the job goes on."""
        self._send(Notice(self._job, message, hint))

    def check_cancelled(self) -> None:
        """Return at once, or raise `CancelledError` when a cancel was asked for."""
        if self._cancel.is_set():
            raise CancelledError("The job was cancelled.")


class NotingReporter(Reporter):
    """Passes everything on, and keeps the warnings for result.json."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.warnings: list[dict[str, str]] = []
        self.stage = reporter.stage
        self.progress = reporter.progress
        self.preview = reporter.preview
        self.wants_previews = reporter.wants_previews
        self.check_cancelled = reporter.check_cancelled

    def warning(self, message: str, *, hint: str = "") -> None:
        """Keep and pass on."""
        self.warnings.append({"message": message, "hint": hint})
        self._reporter.warning(message, hint=hint)
