# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the worker's loop, from messages to jobs."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import platform
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from . import __version__, job_store
from .errors import (
    EXIT_BAD_JOB,
    EXIT_CANCELLED,
    EXIT_DONE,
    CancelledError,
    EngineError,
    OutOfMemoryError,
    ProtocolError,
    StorageError,
)
from .protocol import (
    TO_ENGINE,
    Cancel,
    Cancelled,
    Done,
    Failure,
    Hello,
    Message,
    Ping,
    Pong,
    Quit,
    Ready,
    Run,
    Unload,
    decode,
    encode,
)
from .reporter import ProtocolReporter, Reporter

RunJob = Callable[[Path, Reporter], Path]

HEARTBEAT_SECONDS = 5.0
PARENT_GONE_SECONDS = 1.0
AFTER_CANCEL_SECONDS = 2.0
"""Idle time after a cancel: enough for a queue's next job, which uses the same models, to come."""


class Channel:
    """The protocol's output: one message a line, whole, from any thread.

    Takes file descriptor 1 for itself: from then on whatever else writes to stdout (a print, a
    native library, a child process) lands on stderr and cannot tear a message.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._descriptor = os.dup(1)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write a message; a reader that is gone is noticed at stdin, not here."""
        rest = encode(message).encode("utf-8")
        with self._lock, contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def hello() -> Hello:
    """Who this process is."""
    return Hello(os.getpid(), platform.python_version(), __version__)


def run_one(
    job_dir: Path,
    run_job: RunJob,
    reporter: Reporter,
    *,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Done | Cancelled | Failure:
    """Run a job, alone, and say how it ended; failure.json keeps why it did not succeed.

    Args:
        job_dir: The job's folder.
        run_job: Runs it and returns the path of its result.json.
        reporter: Is told how far it is.
        is_abandoned: Whether the job stops because its parent is gone. Nobody asked for that: the
            job stays interrupted, and is offered again.
    """
    try:
        with job_store.running(job_dir):
            return run_held(job_dir, run_job, reporter, is_abandoned=is_abandoned)
    except EngineError as error:  # no job folder, or another process runs it: nothing to record
        return Failure(str(job_dir), error.code, error.message, error.hint)


def run_held(
    job_dir: Path,
    run_job: RunJob,
    reporter: Reporter,
    *,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Done | Cancelled | Failure:
    """`run_one` for who holds the job already, as `running` and `prepared_folder` do."""
    end = _attempt(job_dir, run_job, reporter)
    with contextlib.suppress(StorageError):  # a full disk must not hide the failure itself
        if isinstance(end, Failure):
            job_store.write_failure(job_dir, end.code, end.message, end.hint)
        elif isinstance(end, Cancelled) and not is_abandoned():
            job_store.write_failure(job_dir, CancelledError.code, "The job was cancelled.")
    return end


def _attempt(job_dir: Path, run_job: RunJob, reporter: Reporter) -> Done | Cancelled | Failure:
    job = str(job_dir)
    try:
        return Done(job, str(run_job(job_dir, reporter)))
    except CancelledError:
        return Cancelled(job)
    except EngineError as error:
        return Failure(job, error.code, error.message, error.hint)
    except MemoryError:
        message = "The edit does not fit into the computer's memory."
        hint = "Edit fewer frames, or choose a smaller working size."
        return Failure(job, OutOfMemoryError.code, message, hint)
    except Exception as error:  # noqa: BLE001 - process border: exactly one terminal message a job
        traceback.print_exc()
        message = f"Unexpected {type(error).__name__}: {error}"
        hint = "This is a fault of Delta Strip; the log has its details."
        return Failure(job, EngineError.code, message, hint)


def serve(
    run_job: RunJob,
    *,
    prepare: Callable[[], Ready],
    unload: Callable[[], None],
    idle_seconds: float,
) -> int:
    """Take jobs from stdin until it closes or `Quit` comes.

    Args:
        run_job: Runs a job folder and returns the path of its result.json.
        prepare: Imports what is heavy and describes the device.
        unload: Frees the models' memory.
        idle_seconds: Idle time after which the models' memory is freed; 0 for never. After a
            cancel it is `AFTER_CANCEL_SECONDS`: whoever cancels may need the memory.

    Returns:
        The process's exit code.
    """
    faulthandler.enable()
    channel = Channel()
    inbox = _Inbox(channel)
    channel.send(hello())
    inbox.start()
    with _heartbeat(channel):
        try:
            ready = prepare()
        except EngineError as error:
            channel.send(Failure("", error.code, error.message, error.hint))
            return error.exit_code
    channel.send(ready)
    patience: float | None = None  # idle time until the models go; none are there, or for ever
    while True:
        try:
            item = inbox.take(patience)
        except queue.Empty:
            item = Unload()
        if isinstance(item, int):
            return item
        if isinstance(item, Unload):
            unload()
            patience = None
            continue
        reporter = ProtocolReporter(channel.send, job=item.job, cancel=inbox.cancel)
        job_dir = Path(item.job)
        with _heartbeat(channel), _log_into(job_dir):
            end = run_one(job_dir, run_job, reporter, is_abandoned=inbox.is_closed.is_set)
            patience = AFTER_CANCEL_SECONDS if isinstance(end, Cancelled) else idle_seconds or None
            if isinstance(end, Failure) and end.code == OutOfMemoryError.code:
                unload()
        inbox.job_ended()
        channel.send(end)


class _Inbox:
    """Reads stdin on a thread: cancels and pings act at once, jobs wait for the main thread."""

    def __init__(self, channel: Channel) -> None:
        self.cancel = threading.Event()
        self.is_closed = threading.Event()
        self._channel = channel
        self._queue: queue.SimpleQueue[Run | Unload | int] = queue.SimpleQueue()
        self._has_job = False
        # A child process or library that reads stdin must not take messages away.
        self._descriptor = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def take(self, timeout_seconds: float | None) -> Run | Unload | int:
        """The next thing to do, an exit code for the end; `queue.Empty` after the timeout."""
        return self._queue.get(timeout=timeout_seconds)

    def job_ended(self) -> None:
        """The next job may come."""
        self._has_job = False
        self.cancel.clear()

    def _read(self) -> None:
        code = EXIT_DONE
        try:
            with os.fdopen(self._descriptor, "rb") as stream:
                for line in stream:
                    message = decode(line.decode("utf-8", errors="replace"), TO_ENGINE)
                    if isinstance(message, Quit):
                        break
                    self._handle(message)
        except OSError:
            pass  # the pipe broke: the same as its end
        except ProtocolError as error:
            code = EXIT_BAD_JOB
            self._channel.send(Failure("", error.code, error.message, error.hint))
        self.is_closed.set()
        self.cancel.set()
        self._queue.put(code)
        # A long native call cannot be interrupted. Checkpoints are written all along.
        time.sleep(PARENT_GONE_SECONDS)
        os._exit(code or EXIT_CANCELLED)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Cancel):
            if self._has_job:
                self.cancel.set()
        elif isinstance(message, Ping):
            self._channel.send(Pong())
        elif isinstance(message, Unload):
            self._queue.put(message)
        elif isinstance(message, Run):
            if self._has_job:
                raise ProtocolError(f"{message.job} came while another job runs.")
            self._has_job = True
            self._queue.put(message)


@contextlib.contextmanager
def _heartbeat(channel: Channel) -> Iterator[None]:
    """Say now and then that the process lives, also in the middle of a long step."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            channel.send(Pong())

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _log_into(job_dir: Path) -> Iterator[None]:
    """Let stderr, and stray output, end in the job's own log while it runs."""
    if not (job_dir / job_store.JOB).is_file():
        yield  # the job itself will tell that this is none
        return
    try:
        log = os.open(job_dir / job_store.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        yield  # the job itself will tell why nothing can be written
        return
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(log, 2)
    os.dup2(log, 1)
    os.close(log)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.dup2(before, 1)
        os.close(before)
