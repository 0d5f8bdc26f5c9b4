# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): a tiny edit that shows whether an engine works.

It runs the whole path, torch and the demo backbone included, on the device that edits will use: a
driver that is too old or a GPU without kernels in this build of torch is found out here.
"""

from __future__ import annotations

import json
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import job_store
from .child_process import LineSink, run_lines
from .client import ENGINE_VARIABLES
from .errors import EnvironmentSetupError
from .job import Device, EditJob, EditSettings
from .media import Media

SelfTest = Callable[[Path, LineSink, "threading.Event | None"], str]
"""From an environment's Python to one sentence that says how it went; raises when it did not."""

EXTENSION_ROOT = Path(__file__).resolve().parent.parent
SIDE_PX = 32
_FRAMES = 2


def tiny_edit(
    python: Path,
    on_line: LineSink,
    cancel: threading.Event | None = None,
    *,
    device: Device = "auto",
) -> str:
    """Edit two small frames with an engine's Python, in a temporary folder.

    Args:
        python: Interpreter of the environment to try.
        on_line: Receives what the engine writes.
        cancel: Set it from another thread to stop.
        device: Where to compute.

    Returns:
        A sentence with the device and the time.

    Raises:
        EnvironmentSetupError: It failed; with the engine's own words.
        CancelledError: ``cancel`` was set.
    """
    with tempfile.TemporaryDirectory(prefix="delta-strip-test-") as folder:
        job_dir = _make_job(Path(folder), device)
        command = [str(python), "-B", "-P", "-m", "engine", "run", str(job_dir)]
        said: list[str] = []

        def listen(line: str) -> None:
            said.append(line)
            if not line.startswith("{"):
                on_line(line)

        variables = {**ENGINE_VARIABLES, "PYTHONPATH": str(EXTENSION_ROOT)}
        status = run_lines(
            command, on_line=listen, cwd=job_dir, cancel=cancel, extra_environment=variables
        )
        if status or not (job_dir / job_store.RESULT).is_file():
            raise _failure(python, status, said)
        return _sentence(json.loads((job_dir / job_store.RESULT).read_text(encoding="utf-8")))


def _make_job(root: Path, device: Device) -> Path:
    names = tuple(f"{number:06d}.png" for number in range(1, _FRAMES + 1))
    job = EditJob(
        source=Media(path="source", kind="images", frames=tuple(range(_FRAMES)), files=names),
        fps=(24, 1),
        source_prompt="a red ball moving right over grass",
        target_prompt="a blue ball moving right over grass",
        settings=EditSettings(steps=1, use_stopping_rule=False),
        device=device,
        movie=False,
    )
    job_dir = job_store.create(root, job, name="self-test")
    (job_dir / "source").mkdir()
    for number, name in enumerate(names):
        (job_dir / "source" / name).write_bytes(_picture(number))
    return job_dir


def _picture(shift: int) -> bytes:
    """A PNG of a red square on green."""
    rows = b""
    for y in range(SIDE_PX):
        rows += b"\0"
        for x in range(SIDE_PX):
            is_inside = 8 <= x - shift < 24 and 8 <= y < 24
            rows += b"\xd0\x20\x20" if is_inside else b"\x30\x90\x30"
    header = struct.pack(">IIBBBBB", SIDE_PX, SIDE_PX, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _sentence(result: dict[str, Any]) -> str:
    machine, seconds = result["machine"], sum(result["seconds"].values())
    return (
        f"The engine works: a tiny edit took {seconds:.1f} s on {machine['device']} "
        f"(torch {machine['torch']})."
    )


def _failure(python: Path, status: int, said: list[str]) -> EnvironmentSetupError:
    """The engine's own last message, or the last lines of whatever spoke instead."""
    for line in reversed(said):
        if line.startswith("{") and '"failure"' in line:
            message = json.loads(line)
            text = f"{message.get('message', '')} {message.get('hint', '')}".strip()
            return EnvironmentSetupError(f"The engine's test edit failed: {text}")
    last = "\n".join(line for line in said if not line.startswith("{")).splitlines()[-8:]
    return EnvironmentSetupError(
        f"The engine's test edit failed (exit status {status}). Its last lines:\n"
        + "\n".join(last or [f"{python} wrote nothing."])
        + "\n",
        hint="Look at the log; a repair or another build may help.",
    )
