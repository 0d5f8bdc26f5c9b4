# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): a child process that is spoken to in lines.

A reader thread turns its output into messages, so that whoever polls never blocks.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import EngineProcessError, ProtocolError
from .protocol import FROM_ENGINE, Message, decode, encode

_CHUNK_BYTES = 1 << 16
_LOG_BYTES = 1 << 20
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class EndOfOutput:
    """The process closed its stdout; nothing follows."""


class LineProcess:
    """One run of a program that speaks the protocol; made running, used once.

    Args:
        argv: Program and arguments.
        cwd: Working folder.
        env: Its complete environment.
        log_path: File its stderr is appended to; begun anew when it is longer than 1 MB.
        line_bytes: A longer line is not the protocol.

    Raises:
        EngineProcessError: It cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log_path: Path,
        line_bytes: int,
    ) -> None:
        self._line_bytes = line_bytes
        self._queue: queue.SimpleQueue[Message | ProtocolError | EndOfOutput] = queue.SimpleQueue()
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            is_long = log_path.exists() and log_path.stat().st_size > _LOG_BYTES
            with log_path.open("wb" if is_long else "ab") as log:
                self._process = subprocess.Popen(
                    list(argv),
                    cwd=cwd,
                    env=dict(env),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    # Its own group: Ctrl-C in the parent's terminal is not meant for it, and its
                    # children end with it.
                    start_new_session=sys.platform != "win32",
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
                    | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
        except OSError as error:
            raise EngineProcessError(
                f"The engine cannot be started: {error.strerror or error} "
                f"({error.filename or argv[0]}).",
                hint="Repair the engine in the preferences.",
            ) from error
        self._reader = threading.Thread(target=self._read, name="engine-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """Exit code, or minus the signal that ended it; None while it runs."""
        return self._process.poll()

    def send(self, message: Message) -> None:
        """Write a message; a process that is gone is noticed by whoever reads, not here."""
        assert self._process.stdin is not None  # stdin=PIPE
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed by `close_input`
            self._process.stdin.write(encode(message).encode("utf-8"))

    def close_input(self) -> None:
        """Close its stdin: for the engine, its parent is gone."""
        assert self._process.stdin is not None  # stdin=PIPE
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def received(self) -> Iterator[Message | ProtocolError | EndOfOutput]:
        """What came since the last call; after an error or the end nothing more comes."""
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return

    def signal(self, *, kill: bool) -> None:
        """Terminate, or kill, the process and its children; no-op when it is gone."""
        if self._process.poll() is not None:
            return
        if sys.platform == "win32":
            self._process.kill() if kill else self._process.terminate()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL if kill else signal.SIGTERM)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end; False when it still runs."""
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def dispose(self) -> None:
        """Kill what is left and give the pipes back."""
        self.signal(kill=True)
        self.close_input()
        self.wait(1.0)
        self._reader.join(0.2)
        if self._reader.is_alive() and sys.platform != "win32":
            # A child of the engine holds the pipe. It keeps the group's number from being reused.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join(1.0)

    def abandon(self) -> None:
        """Kill it without waiting: a process with much memory takes its time to die."""
        self.signal(kill=True)
        threading.Thread(target=self.dispose, name="engine-reaper", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # stdout=PIPE
        descriptor = self._process.stdout.fileno()
        rest = b""
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._queue.put(self._decode(line))
                if len(rest) > self._line_bytes:
                    self._decode(rest)
            if rest:
                raise ProtocolError(f"The last line is not complete: {_quote(rest)}.")
        except ProtocolError as error:
            self._queue.put(error)
        except OSError:
            pass  # the pipe broke: the same as its end
        self._process.stdout.close()
        self._queue.put(EndOfOutput())

    def _decode(self, line: bytes) -> Message:
        if len(line) > self._line_bytes:
            raise ProtocolError(f"A line is longer than {self._line_bytes} bytes: {_quote(line)}.")
        try:
            return decode(line.decode("utf-8"), FROM_ENGINE)
        except UnicodeDecodeError:
            raise ProtocolError(f"A line is not UTF-8: {_quote(line)}.") from None


def last_line(path: Path) -> str:
    """The last line of a log that says something; empty when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            lines = stream.read().decode("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def describe_end(status: int | None) -> str:
    """How the process ended, as a sentence."""
    if status is None:
        return "The engine closed its output."
    if status >= 0:
        return f"The engine ended with exit code {status}."
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    because = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"The engine was ended by signal {name}{because}."


def _quote(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", errors="replace"))
