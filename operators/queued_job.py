# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports no bpy itself): a job in the queue, in words and numbers only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..engine.file_lock import FileLock
from ..engine.job import LEAST_AREA_SCALE, EditJob
from ..engine.protocol import Message, Notice, Preview, Progress, Stage

State = Literal[
    "waiting", "exporting", "running", "importing", "done", "kept", "failed", "cancelled"
]
ACTIVE: tuple[State, ...] = ("exporting", "running", "importing")
# Share of the whole that a stage ends at, for one bar; it is full only when the strip is there.
_STAGE_SHARES = {
    "loading": (0.0, 0.05),
    "encoding": (0.05, 0.15),
    "editing": (0.15, 0.85),
    "decoding": (0.85, 0.95),
    "writing": (0.95, 0.98),
}


@dataclass
class QueuedJob:
    """A job in the queue and how far it is.

    `state` is `kept` when the result waits in the list of results, because its place is gone;
    `code` is the error's (engine/errors.py), `preview` the path of the newest picture of the edit,
    `preview_count` how often it was renewed, `serial` another number for each entry of the queue: a
    retried job has the folder, and the names of pictures, that it had before.
    """

    folder: Path
    title: str
    job: EditJob
    lock: FileLock
    state: State = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float = -1.0
    message: str = ""
    hint: str = ""
    warnings: list[str] = field(default_factory=list)
    result_name: str = ""
    is_cancelling: bool = False
    is_whole_run: bool = False
    code: str = ""
    preview: str = ""
    preview_count: int = 0
    serial: int = field(default_factory=itertools.count().__next__, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state == "waiting" or self.state in ACTIVE

    @property
    def can_be_smaller(self) -> bool:
        """Whether it failed for lack of memory and could be tried at a smaller size."""
        is_free = self.job.size is None and self.job.area_scale > LEAST_AREA_SCALE
        return self.state == "failed" and self.code == "out_of_memory" and is_free

    @property
    def factor(self) -> float:
        """Progress from 0 to 1; 1 only when the strip is in the timeline."""
        if self.state == "done":
            return 1.0
        if self.state == "importing":
            return 0.99
        share = self.done / self.total if self.total else 0.0
        if self.state == "exporting":
            return 0.99 * share
        start, end = _STAGE_SHARES.get(self.stage, (0.0, 0.0))
        return start + (end - start) * min(share, 1.0)

    def follow(self, message: Message) -> None:
        """Take over what the engine says about this job while it runs."""
        if isinstance(message, Stage):
            self.stage, self.done, self.total = message.name, 0, 0
        elif isinstance(message, Progress):
            self.stage, self.done, self.total = message.name, message.done, message.total
            self.seconds_left = message.seconds_left
        elif isinstance(message, Preview):
            self.preview, self.preview_count = message.path, self.preview_count + 1
        elif isinstance(message, Notice):
            self.warnings.append(f"{message.message} {message.hint}".strip())

    def end(self, state: State, message: str = "", hint: str = "") -> None:
        """The job is over for this queue; its folder is free for others."""
        self.state, self.message, self.hint = state, message, hint
        self.is_cancelling = False
        self.lock.release()
