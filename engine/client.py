# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the engine process, seen from whoever started it.

Only `stop` and `close` wait: a thread fills a queue, `poll` empties it and watches the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from .child_process import clean_environment
from .errors import EngineProcessError, ProtocolError
from .job_store import LOG
from .line_process import EndOfOutput, LineProcess, describe_end, last_line
from .liveness import Limits, Liveness, PatientClock
from .protocol import (
    TERMINAL,
    Cancel,
    Cancelled,
    Failure,
    Message,
    Ping,
    Quit,
    Ready,
    Run,
    Unload,
)
from .worker_options import WorkerOptions

DEFAULT_OPTIONS = WorkerOptions()

State = Literal["stopped", "starting", "ready", "busy"]

# Nothing is downloaded unasked, and a bar on stderr would fill the log.
ENGINE_VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
}


def engine_command(
    python: Path, extension_root: Path, options: WorkerOptions = DEFAULT_OPTIONS
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment variables that start the worker.

    Args:
        python: Interpreter of the engine's environment (`environment.python_of`).
        extension_root: Folder that holds the `engine` package.
        options: How it treats the computer.
    """
    # -P: an `engine` folder in the working folder must not be taken for ours.
    # -B: no .pyc files in the extension's folder.
    argv = [str(python), "-B", "-P", "-m", "engine", "serve"]
    argv += ["--idle-minutes", f"{options.idle_minutes:g}", "--memory", options.memory]
    return argv, clean_environment({**ENGINE_VARIABLES, "PYTHONPATH": str(extension_root)})


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
        self._argv = list(argv)
        self._cwd = cwd
        self._env = dict(env)
        self._log_path = log_path
        self._limits = limits or Limits()
        self._clock = PatientClock(clock, gap_seconds=self._limits.poll_gap_seconds)
        self._liveness = Liveness(self._limits, self._clock.now())
        self._process: LineProcess | None = None
        self._pending: list[Message] = []
        self._state: State = "stopped"
        self._job = ""
        self._is_sent = False
        self._cancelled: float | None = None
        self._terminated: float | None = None
        self._gone: float | None = None
        self._has_ended = False

    @property
    def state(self) -> State:
        """`starting` until `Ready` came; `busy` from there to the job's terminal message."""
        return self._state

    @property
    def job(self) -> str:
        """Folder of the job that was given and has no terminal message yet; empty for none."""
        return self._job

    @property
    def pid(self) -> int | None:
        """Process number; None when stopped."""
        return self._process.pid if self._process else None

    @property
    def seconds_since_message(self) -> float:
        """Age of the last message, or of the start when none came yet."""
        return self._clock.now() - self._liveness.last_message

    def start(self) -> None:
        """Start the process; returns at once, `Ready` comes out of `poll`. No-op when it runs.

        Raises:
            EngineProcessError: The program cannot be started.
        """
        if self._process is not None:
            return
        self._process = LineProcess(
            self._argv,
            cwd=self._cwd,
            env=self._env,
            log_path=self._log_path,
            line_bytes=self._limits.line_bytes,
        )
        self._liveness = Liveness(self._limits, self._clock.now())
        self._gone = self._cancelled = self._terminated = None
        self._has_ended = False
        self._state = "starting"

    def run(self, job_dir: Path) -> None:
        """Send a job; while the engine is still starting it is sent when `Ready` comes.

        Raises:
            EngineProcessError: The engine is stopped, or already has a job.
        """
        if self._process is None:
            raise EngineProcessError("The engine is stopped.", hint="Start it first.")
        if self._job:
            raise EngineProcessError(f"The engine is busy with {self._job}.")
        self._job = str(job_dir)
        self._is_sent = False
        self._cancelled = self._terminated = None
        if self._state == "ready":
            self._send_job()

    def cancel(self) -> None:
        """Ask for the end of the job; `poll` ends the process when it does not obey in time."""
        if not self._job or self._process is None or self._cancelled is not None:
            return
        if self._is_sent:
            self._cancelled = self._clock.now()
            self._process.send(Cancel())
        else:
            self._pending.append(Cancelled(self._job))
            self._job = ""

    def ping(self) -> None:
        """Ask for a `Pong`."""
        if self._process is not None:
            self._process.send(Ping())

    def unload(self) -> None:
        """Ask the engine to free the models' memory, after the job if one runs."""
        if self._process is not None:
            self._process.send(Unload())

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End the process: quit, then kill. Waits at most about the timeout.

        A job it had counts as cancelled: `poll` tells so, the job's checkpoint stays.
        """
        if self._process is not None:
            self._process.send(Quit())
            self._process.close_input()
            self._process.wait(timeout_seconds)
            self.close()

    def close(self, *, must_wait: bool = True) -> None:
        """End the process at once. Its last moments may take 2 s: a thread can wait for them."""
        if self._process is None:
            return
        self._cancelled = self._clock.now()  # whatever ends the job from here on was asked for
        self._process.dispose() if must_wait else self._process.abandon()
        self._pending += self._drain()
        if self._job:
            self._pending.append(Cancelled(self._job))
        self._forget_process()

    def poll(self) -> list[Message]:
        """All messages since the last call; never blocks. Call it a few times a second.

        Without a job a dead engine also yields one `Failure`, with an empty `job`.
        """
        messages, self._pending = self._pending, []
        now = self._clock.now()
        messages += self._drain()
        if self._process is not None and (problem := self._watch(self._process, now)):
            messages.append(self._fail(EngineProcessError.code, problem))
        return messages

    def _drain(self) -> list[Message]:
        messages: list[Message] = []
        for item in self._process.received() if self._process else ():
            if isinstance(item, EndOfOutput):
                self._has_ended = True
            elif isinstance(item, ProtocolError):
                messages.append(self._fail(item.code, item.message, item.hint))
            else:
                messages.append(self._take(item))
            if self._process is None:
                break
        return messages

    def _take(self, message: Message) -> Message:
        """Follow a message; what the caller is told instead when it makes no sense."""
        self._liveness.heard(message, self._clock.now())
        if isinstance(message, Ready):
            if self._state != "starting":
                return self._fail(ProtocolError.code, "The engine said twice that it is ready.")
            self._state = "ready"
            if self._job:
                self._send_job()
        elif isinstance(message, Failure) and not message.job:
            return self._fail(message.code, message.message, message.hint)
        elif isinstance(message, TERMINAL):
            job = getattr(message, "job", "")
            if not self._is_sent or job != self._job:
                return self._fail(
                    ProtocolError.code, f"The engine ended a job it was not given: {job!r}."
                )
            self._job = ""
            self._is_sent = False
            self._state = "ready"
            self._liveness.job_ended()
        return message

    def _send_job(self) -> None:
        assert self._process is not None  # both callers checked
        self._liveness.job_began(self._clock.now())
        self._process.send(Run(self._job))
        self._is_sent = True
        self._state = "busy"

    def _watch(self, process: LineProcess, now: float) -> str:
        """What is wrong with the process; empty when nothing is."""
        status = process.exit_status()
        if status is not None or self._has_ended:
            self._gone = now if self._gone is None else self._gone
            is_complete = status is not None and self._has_ended
            # A grandchild can keep the pipe open, and a process can outlive its output.
            if is_complete or now - self._gone > self._limits.goodbye_seconds:
                return describe_end(status)
            return ""
        if self._job and self._cancelled is not None:
            if self._terminated is None:
                if now - self._cancelled > self._limits.cancel_seconds:
                    self._terminated = now
                    process.signal(kill=False)
            elif now - self._terminated > self._limits.kill_seconds:
                process.signal(kill=True)
        return self._liveness.problem(now)

    def _fail(self, code: str, message: str, hint: str = "") -> Message:
        """End the process and make the one message that says so."""
        assert self._process is not None  # the callers checked
        job, was_cancelled = self._job, self._cancelled is not None
        self._process.abandon()
        self._forget_process()
        if job and was_cancelled:
            return Cancelled(job)
        log = Path(job) / LOG if job and (Path(job) / LOG).exists() else self._log_path
        said = last_line(log)
        if not hint:
            hint = f"Its last words: {said} (all of them: {log})" if said else f"Its log: {log}"
        return Failure(job, code, message, hint)

    def _forget_process(self) -> None:
        self._process = None
        self._job = ""
        self._is_sent = False
        self._state = "stopped"
