# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: peak memory of the engine processes below this one, from /proc (Linux)."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_PERIOD_SECONDS = 1.0
_PROC = Path("/proc")


class EnginePeak:
    """Watches while its `with` block runs; `bytes` is 0 where there is no /proc."""

    def __init__(self) -> None:
        self.bytes = 0
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
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD_SECONDS):
            for process in _descendants():
                try:
                    command = (_PROC / str(process) / "cmdline").read_bytes()
                    status = (_PROC / str(process) / "status").read_text(encoding="utf-8")
                except OSError:
                    continue  # it ended
                peak = re.search(r"VmHWM:\s+(\d+) kB", status)
                if b"engine\0serve" in command and peak:
                    self.bytes = max(self.bytes, int(peak[1]) * 1024)


def _descendants() -> list[int]:
    """Process numbers below this process."""
    parents: dict[int, int] = {}
    for status in _PROC.glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found = {os.getpid()}
    for _ in range(8):  # far deeper than any tree we start
        found |= {process for process, parent in parents.items() if parent in found}
    return sorted(found - {os.getpid()})
