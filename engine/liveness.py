# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): when an engine counts as dead, by the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .protocol import Hello, Message, Progress, Ready, Stage, StageName


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long the client waits before it calls the engine dead, and how long a line may be.

    A working engine sends something every few seconds (`silence_seconds`: the process hangs); the
    stage's own limit is for a job that lives but gets nowhere.
    """

    hello_seconds: float = 10.0
    ready_seconds: float = 180.0
    silence_seconds: float = 60.0
    stage_seconds: Mapping[StageName, float] = field(
        default_factory=lambda: {
            "loading": 900.0,
            "encoding": 900.0,
            "editing": 1800.0,
            "decoding": 900.0,
            "writing": 900.0,
        }
    )
    cancel_seconds: float = 6.0
    kill_seconds: float = 3.0
    goodbye_seconds: float = 2.0
    poll_gap_seconds: float = 5.0
    line_bytes: int = 1 << 20


class PatientClock:
    """Seconds in which someone was looking: a long gap between two looks does not count.

    While the computer slept or Blender rendered nobody read the engine's messages, so that time
    says nothing about the engine.
    """

    def __init__(self, clock: Callable[[], float], *, gap_seconds: float) -> None:
        self._clock = clock
        self._gap_seconds = gap_seconds
        self._looked = clock()
        self._seconds = 0.0

    def now(self) -> float:
        """Look at the clock."""
        reading = self._clock()
        gap = reading - self._looked
        self._looked = reading
        if gap <= self._gap_seconds:
            self._seconds += gap
        return self._seconds


class Liveness:
    """What the engine was last heard to do, and since when.

    Args:
        limits: Waiting times.
        now: Seconds of a `PatientClock` at the process's start.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._started = self.last_message = self._last_work = now
        self._said_hello = False
        self._is_ready = False
        self._stage: StageName = "loading"
        self._is_busy = False

    def job_began(self, now: float) -> None:
        """A job was sent."""
        self.last_message = self._last_work = now
        self._stage = "loading"
        self._is_busy = True

    def job_ended(self) -> None:
        """The job's terminal message came; an idle engine may keep silent."""
        self._is_busy = False

    def heard(self, message: Message, now: float) -> None:
        """A message came."""
        self.last_message = now
        if isinstance(message, Stage | Progress):
            self._last_work = now
            self._stage = message.name
        elif isinstance(message, Hello):
            self._said_hello = True
        elif isinstance(message, Ready):
            self._is_ready = True

    def problem(self, now: float) -> str:
        """What the engine failed to do in time; empty when all is well."""
        if not self._is_ready:
            age = now - self._started
            if not self._said_hello and age > self._limits.hello_seconds:
                return f"The engine said nothing for {age:.0f} s after its start."
            if age > self._limits.ready_seconds:
                return f"The engine was not ready {age:.0f} s after its start."
        elif self._is_busy:
            silence, idle = now - self.last_message, now - self._last_work
            if silence > self._limits.silence_seconds:
                return f"The engine said nothing for {silence:.0f} s."
            if idle > self._limits.stage_seconds[self._stage]:
                return f"The stage {self._stage} did nothing for {idle:.0f} s."
        return ""
