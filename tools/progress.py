# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: one progress bar with time left over stages whose usual durations are known."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

_TICK_SECONDS = 0.5
_QUIET_SECONDS = 15.0  # between two lines when the output is a file
_ALMOST = 0.97  # a stage that takes longer than usual waits here
_WIDTH = 24


class Progress:
    """A bar that keeps moving from the first stage to the last, in a thread of its own.

    The usual durations only say how large the stages are against each other: the time left follows
    how fast they really go.

    Args:
        usual_seconds: Duration of each stage by its title, in order.
        stream: Where to draw; a terminal gets one line, a file a line now and then.
    """

    def __init__(self, usual_seconds: dict[str, float], stream: TextIO = sys.stdout) -> None:
        self._usual = usual_seconds
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._start = time.monotonic()
        self._stage = ""
        self._stage_start = self._start
        self._fraction: float | None = None
        self._note = ""
        self._last_line = 0.0
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._end_stage()
        self._stop.set()
        self._thread.join()
        self._draw(is_last=True)
        if self._is_terminal:
            self._stream.write("\n")

    def stage(self, title: str) -> None:
        """End the stage before and begin this one, a key of `usual_seconds`."""
        self._end_stage()
        with self._lock:
            self._stage, self._stage_start = title, time.monotonic()
            self._fraction, self._note = None, ""
        self._draw(is_important=True)

    def update(self, fraction: float | None = None, note: str = "") -> None:
        """How far the stage is, 0 to 1; without it the clock says."""
        with self._lock:
            self._fraction = fraction
            self._note = note or self._note

    def _end_stage(self) -> None:
        with self._lock:
            if self._stage:
                self.seconds[self._stage] = time.monotonic() - self._stage_start
            self._stage = ""

    def _run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            self._draw()

    def _share(self) -> tuple[float, float]:
        """(share of all work done, seconds left)."""
        total = sum(self._usual.values())
        done = sum(self._usual[title] for title in self.seconds)
        spent = sum(self.seconds.values())
        if self._stage:
            usual, elapsed = self._usual[self._stage], time.monotonic() - self._stage_start
            clock = elapsed / (elapsed + 0.3 * usual) if elapsed > usual else elapsed / usual * 0.77
            fraction = clock if self._fraction is None else self._fraction
            done += usual * min(fraction, _ALMOST)
            spent += elapsed
        # As if the first tenth had gone as usual: else a quick first second promises too much.
        calm = 0.1 * total
        speed = (spent + calm) / (done + calm)
        return done / total, (total - done) * speed

    def _draw(self, *, is_important: bool = False, is_last: bool = False) -> None:
        with self._lock:
            share, left = self._share()
            elapsed = time.monotonic() - self._start
            filled = round(share * _WIDTH)
            title = self._stage or ("done" if share > 0.999 else "stopped")
            line = (
                f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%} {_clock(elapsed)} "
                f"left {_clock(left)}  {title}{': ' if self._note else ''}{self._note}"
            )
            if self._is_terminal:
                columns = shutil.get_terminal_size().columns - 1
                self._stream.write("\r" + line[:columns].ljust(columns))
            elif is_important or is_last or elapsed - self._last_line > _QUIET_SECONDS:
                self._last_line = elapsed
                self._stream.write(line[:160] + "\n")
            self._stream.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
