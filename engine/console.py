# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): what a command says on the terminal, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from . import errors
from .protocol import Cancelled, Done, Failure, Message


def tell(end: Message, *, is_json: bool) -> int:
    """Say on the terminal how a job ended; its exit code."""
    if isinstance(end, Done):
        if not is_json:
            print(Path(end.result).parent)
        return errors.EXIT_DONE
    if isinstance(end, Cancelled):
        print("Cancelled; the same command resumes the edit.", file=sys.stderr)
        return errors.EXIT_CANCELLED
    assert isinstance(end, Failure)  # the third of three terminal messages
    print(f"{end.message}\n{end.hint}".strip(), file=sys.stderr)
    return errors.exit_code_of(end.code)


def cancel_on_interrupt() -> threading.Event:
    """Ctrl-C ends the job after its current step; a second Ctrl-C ends the process at once."""
    cancel = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        cancel.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, interrupt)
    return cancel


def print_error(error: errors.EngineError) -> None:
    """Message and hint; where it came from only when debugging."""
    if os.environ.get("DELTA_STRIP_DEBUG") == "1":
        traceback.print_exc()
    print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
