# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the engine process, seen from whoever started it.

No method but `stop` ever blocks: a reader thread fills a queue, `poll` empties it and watches the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .protocol import Message

State = Literal["stopped", "starting", "ready", "busy"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long the client waits before it calls the engine dead, and how long a line may be."""

    hello_seconds: float = 10.0
    ready_seconds: float = 180.0
    silence_seconds: float = 60.0
    cancel_seconds: float = 10.0
    kill_seconds: float = 3.0
    line_bytes: int = 1 << 20


def engine_command(python: Path, extension_root: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment variables that start the worker.

    Args:
        python: Interpreter of the engine's environment (`environment.python_of`).
        extension_root: Folder that holds the `engine` package.
    """
    raise NotImplementedError


class EngineProcess:
    """The worker process: starts it, sends it jobs, tells what it says, and ends it.

    A job's terminal message (`Done`, `Cancelled`, `Failure`) comes out of `poll` exactly once, also
    when the process crashes, falls silent or speaks garbage: then the client makes the `Failure`.
    A process that failed is stopped; `start` begins a new one.

    Args:
        argv: Program and arguments, as `engine_command` gives them.
        cwd: Working folder of the process.
        env: Its complete environment.
        log_path: File its stderr is appended to.
        limits: Waiting times.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log_path: Path,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        raise NotImplementedError

    @property
    def state(self) -> State:
        """`starting` until `Ready` came; `busy` from `run` to the terminal message."""
        raise NotImplementedError

    @property
    def job(self) -> str:
        """Folder of the job that was sent and has no terminal message yet; empty for none."""
        raise NotImplementedError

    @property
    def seconds_since_message(self) -> float:
        """Age of the last message, or of the start when none came yet."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the process; returns at once, `Ready` comes out of `poll`. No-op when it runs.

        Raises:
            EngineProcessError: The program cannot be started.
        """
        raise NotImplementedError

    def run(self, job_dir: Path) -> None:
        """Send a job; while the engine is still starting it is sent when `Ready` comes.

        Raises:
            EngineProcessError: The engine is stopped, or already has a job.
        """
        raise NotImplementedError

    def poll(self) -> list[Message]:
        """All messages since the last call; never blocks. Call it a few times a second.

        Without a job a dead engine also yields one `Failure`, with an empty `job`.
        """
        raise NotImplementedError

    def cancel(self) -> None:
        """Ask for the end of the job. `poll` terminates the process when it does not obey in time."""
        raise NotImplementedError

    def ping(self) -> None:
        """Ask for a `Pong`."""
        raise NotImplementedError

    def unload(self) -> None:
        """Ask the engine to free the models' memory."""
        raise NotImplementedError

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End the process: quit, then terminate, then kill. Blocks at most about the timeout."""
        raise NotImplementedError

    def close(self) -> None:
        """End the process at once; for unregistering and the end of Blender."""
        raise NotImplementedError
