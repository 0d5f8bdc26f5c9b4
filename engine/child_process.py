# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): runs another Python without inheriting ours.

A Blender process carries variables that break a foreign Python (its own library and module
folders); programs started here get an environment without them. No shell is ever involved.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from .errors import CancelledError, EnvironmentSetupError

LineSink = Callable[[str], None]

_LEAKING = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONPYCACHEPREFIX",  # measured: 10.9 s instead of 4.1 s for the engine's first start
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONSAFEPATH",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DYLD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PIP_NO_COMPILE",
)
_POLL_SECONDS = 0.2
_TERMINATE_SECONDS = 5.0


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what would leak into another Python.

    Args:
        extra: Variables to set on top.
    """
    variables = {name: value for name, value in os.environ.items() if name not in _LEAKING}
    variables["PYTHONUTF8"] = "1"
    variables["PYTHONNOUSERSITE"] = "1"
    variables.update(extra or {})
    return variables


def stop_process(process: subprocess.Popen[str]) -> None:
    """End a process and its children: ask first, then insist. Returns when it is gone."""
    for insist in (False, True):
        if process.poll() is not None:
            return
        if sys.platform == "win32":
            process.kill() if insist else process.terminate()
        else:
            os.killpg(process.pid, signal.SIGKILL if insist else signal.SIGTERM)
        try:
            process.wait(timeout=_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def run_lines(
    command: Sequence[str],
    *,
    on_line: LineSink,
    cwd: Path,
    cancel: threading.Event | None = None,
    extra_environment: Mapping[str, str] | None = None,
) -> int:
    """Run a command and pass on its output (stdout and stderr) line by line as it appears.

    Args:
        command: Program and arguments; never interpreted by a shell.
        on_line: Receives each line without its end, on the calling thread.
        cwd: Working folder of the program.
        cancel: When set, the program and its children are ended.
        extra_environment: Variables on top of :func:`clean_environment`.

    Returns:
        The exit status.

    Raises:
        CancelledError: ``cancel`` was set while the program ran.
        EnvironmentSetupError: The program cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=clean_environment(extra_environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=sys.platform != "win32",  # so that children end with it
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise EnvironmentSetupError(
            f"{command[0]} cannot be started: {error.strerror or error}.",
            hint="Choose another Python in the extension's preferences.",
        ) from error
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    output = cast("IO[str]", process.stdout)  # stdout=PIPE: never None
    reader = threading.Thread(target=_pump, args=(output, lines), daemon=True)
    reader.start()
    try:
        _drain(lines, on_line, cancel)
        return process.wait()
    finally:
        stop_process(process)
        reader.join(timeout=_TERMINATE_SECONDS)
        if not reader.is_alive():
            output.close()


def _pump(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Move lines from a pipe to a queue, then None for the end."""
    for line in stream:
        lines.put(line.rstrip())
    lines.put(None)


def _drain(
    lines: queue.SimpleQueue[str | None], on_line: LineSink, cancel: threading.Event | None
) -> None:
    """Pass lines on until the end of the output; look at ``cancel`` also when all is silent."""
    while True:
        if cancel is not None and cancel.is_set():
            raise CancelledError("The setup of the engine was cancelled.")
        try:
            line = lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            return
        on_line(line)
