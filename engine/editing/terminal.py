# SPDX-License-Identifier: GPL-3.0-or-later
"""A progress bar for one job on a terminal (imports tqdm, neither torch nor bpy)."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from tqdm import tqdm

from ..errors import CancelledError
from ..protocol import StageName
from ..reporter import Reporter
from ..time_left import SHARES, TimeLeft

_FORMAT = "{desc:<9} {percentage:3.0f}% |{bar}| {elapsed} {postfix}"


class TerminalReporter(Reporter):
    """One bar for the whole job on stderr; without a terminal one line a stage.

    Args:
        cancel: Set when the job shall stop.
    """

    def __init__(self, cancel: threading.Event) -> None:
        self._cancel = cancel
        self._time_left = TimeLeft()
        self._stage: StageName = "loading"
        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=100.0, bar_format=_FORMAT, disable=not self._is_terminal, leave=False
        )

    def __enter__(self) -> TerminalReporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def stage(self, name: StageName) -> None:
        """Name the stage."""
        self._stage = name
        self._time_left.stage(name)
        if self._is_terminal:
            self._bar.set_description_str(name, refresh=False)
            self._show(0.0)
        else:
            print(name, file=sys.stderr, flush=True)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        self._time_left.progress(done, total)
        self._show(done / total if total else 1.0)

    def warning(self, message: str, *, hint: str = "") -> None:
        """Print above the bar."""
        tqdm.write(f"Warning: {message} {hint}".strip(), file=sys.stderr)

    def check_cancelled(self) -> None:
        """Stop when Ctrl-C was pressed."""
        if self._cancel.is_set():
            raise CancelledError("The job was cancelled.")

    def _show(self, share: float) -> None:
        names = list(SHARES)
        before = sum(SHARES[name] for name in names[: names.index(self._stage)])
        self._bar.n = 100.0 * (before + SHARES[self._stage] * share)
        seconds = self._time_left.seconds()
        left = "" if seconds < 0 else f"{tqdm.format_interval(seconds)} left"
        self._bar.set_postfix_str(left, refresh=False)
        self._bar.refresh()
