# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): how long a job will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

from .protocol import StageName

UNKNOWN = -1.0
# Assumed; the pace of the real stages corrects them. Frames are written while they are decoded.
SHARES: dict[StageName, float] = {
    "loading": 0.03,
    "encoding": 0.07,
    "editing": 0.75,
    "decoding": 0.13,
    "writing": 0.02,
}
_ORDER = tuple(SHARES)


class TimeLeft:
    """Estimates the seconds left of a whole job from the pace of its stages so far.

    Each stage has an assumed share of the job. The stages whose full time is known or can be
    extrapolated tell how long a share takes; loading tells nothing, since a model may be loaded
    already.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_seconds: dict[StageName, float] = {}
        self._stage: StageName | None = None
        self._began = clock()
        self._first: tuple[int, float] | None = None
        self._rest_seconds: float | None = None

    def stage(self, name: StageName) -> None:
        """The job enters a stage."""
        now = self._clock()
        if self._stage is not None:
            # A resumed stage was entered in the middle: its extrapolation is its full time.
            self._full_seconds.setdefault(self._stage, now - self._began)
        self._stage = name
        self._began = now
        self._first = None
        self._rest_seconds = None

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` units of the current stage are finished."""
        now = self._clock()
        if self._stage is None:
            return
        if self._first is None:
            # A first report beyond one unit is a resumed stage: those units were not done just now.
            self._first = (done, now) if done > 1 else (0, self._began)
        first_done, first_time = self._first
        if done > first_done and total > 0:
            seconds_per_unit = (now - first_time) / (done - first_done)
            self._full_seconds[self._stage] = seconds_per_unit * total
            self._rest_seconds = seconds_per_unit * (total - done)

    def seconds(self) -> float:
        """Seconds left of the whole job; `UNKNOWN` until a stage after loading shows its pace."""
        known: list[StageName] = [name for name in self._full_seconds if name != "loading"]
        if self._stage is None or not known:
            return UNKNOWN
        known_seconds = sum(self._full_seconds[name] for name in known)
        seconds_per_share = known_seconds / sum(SHARES[name] for name in known)
        later = _ORDER[_ORDER.index(self._stage) + 1 :]
        if self._rest_seconds is not None:
            rest = self._rest_seconds
        else:
            spent = self._clock() - self._began
            rest = max(0.0, SHARES[self._stage] * seconds_per_share - spent)
        return rest + sum(SHARES[s] for s in later) * seconds_per_share
