# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the fake engine, listening to it, and looking whether a process lives."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.client import EngineProcess, Limits
from engine.protocol import TERMINAL, Message

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "fake_engine.py"
PATIENCE = 10.0
# Nothing about a process's start or silence: those take long on a starved machine.
QUICK = Limits(cancel_seconds=0.2, kill_seconds=0.2, goodbye_seconds=0.2)

StartEngine = Callable[..., EngineProcess]


def fake_engine(
    folder: Path, scenario: str, limits: Limits, variables: Mapping[str, object]
) -> EngineProcess:
    """The fake engine, not yet started."""
    named = {f"FAKE_ENGINE_{name.upper()}": str(value) for name, value in variables.items()}
    return EngineProcess(
        [sys.executable, "-B", str(FAKE), scenario],
        cwd=folder,
        env={**os.environ, **named},
        log_path=folder / "worker.log",
        limits=limits,
    )


def collect(engine: EngineProcess, until: Callable[[list[Message]], bool]) -> list[Message]:
    """Poll until the messages are complete; every poll must return at once."""
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while not until(messages):
        assert time.monotonic() < deadline, messages
        began = time.monotonic()
        messages += engine.poll()
        # A wait inside would be a second; less than that is a busy machine.
        assert time.monotonic() - began < 0.3
        time.sleep(0.005)
    return messages


def ended(messages: list[Message]) -> bool:
    return any(isinstance(message, TERMINAL) for message in messages)


def has(kind: type[Message]) -> Callable[[list[Message]], bool]:
    return lambda messages: any(isinstance(message, kind) for message in messages)


def run_to_end(engine: EngineProcess, job_dir: Path) -> Message:
    """The one terminal message; none may follow."""
    engine.run(job_dir)
    messages = collect(engine, ended)
    time.sleep(0.1)
    messages += engine.poll()
    terminal = [message for message in messages if isinstance(message, TERMINAL)]
    assert len(terminal) == 1
    assert engine.job == ""
    return terminal[0]


def is_alive(pid: int) -> bool:
    """Whether any thread of a process still runs: the first one's end lets go of nothing yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z" or threads > 1


def wait_until_gone(pid: int, seconds: float) -> float:
    began = time.monotonic()
    while is_alive(pid):
        assert time.monotonic() - began < seconds, f"process {pid} still lives"
        time.sleep(0.01)
    return time.monotonic() - began
