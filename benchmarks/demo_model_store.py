# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished clips of a measurement, a file each, so that a long one can go on after a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.demo_edits import Levels
from benchmarks.edit_quality_store import check_identity

Found = tuple[dict[str, Any], list[Levels]]
"""A clip's figures and its pictures."""


def claim(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder, or make sure that it has figures of the same model and settings.

    Args:
        folder: For the finished clips.
        identity: What the figures depend on.

    Raises:
        ValueError: the folder holds figures of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "identity.json"
    if path.exists():
        check_identity(folder, json.loads(path.read_text(encoding="utf-8")), identity)
    else:
        path.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")


def kept(folder: Path, name: str, work: Callable[..., Found], arguments: tuple[Any, ...]) -> Found:
    """What `work(*arguments)` gives, read from the folder where it is there already.

    Args:
        folder: Of the measurement.
        name: Of the clip, a file name.
        work: Measures one clip.
        arguments: Of `work`.
    """
    path = folder / f"{name}.npz"
    if path.exists():
        # Numbers and text, and nothing else: a pickle could run code.
        with np.load(path, allow_pickle=False) as stored:
            pictures = [stored[f"clip_{number}"] for number in range(len(stored.files) - 1)]
            return json.loads(str(stored["row"])), pictures
    row, pictures = work(*arguments)
    clips: dict[str, Any] = {f"clip_{number}": clip for number, clip in enumerate(pictures)}
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez_compressed(stream, row=np.array(json.dumps(row)), **clips)
    part.replace(path)
    return row, pictures
