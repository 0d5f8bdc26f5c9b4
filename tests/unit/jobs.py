# SPDX-License-Identifier: GPL-3.0-or-later
"""Small jobs and folders for the tests of the engine's tier 0 (stdlib only)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from engine.job import EditJob, EditSettings
from engine.media import Media

SIX_FRAMES = Media(path="/clips/a car.mp4", kind="movie", frames=(0, 1, 2, 3, 4, 5))


def make_job(**changes: Any) -> EditJob:
    """A valid job; `changes` replace its fields."""
    job = EditJob(
        source=SIX_FRAMES,
        fps=(24, 1),
        source_prompt="a red car",
        target_prompt="a blue car",
        settings=EditSettings(),
    )
    return dataclasses.replace(job, **changes)


def touch(folder: Path, *names: str) -> None:
    """Files of one byte, with their folders."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
