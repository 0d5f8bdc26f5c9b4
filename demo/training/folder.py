# SPDX-License-Identifier: GPL-3.0-or-later
"""A training's folder: one plan, one run at a time. Imports neither torch nor numpy."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from demo.training.plan import Plan
from engine.file_lock import FileLock

STAGES = ("autoencoder", "images", "prior", "video")
# What is made from the result of a stage, so that the stage is over once one of these is there.
_LATER = {
    "autoencoder": (
        "latents.done.json",
        "images.safetensors",
        "prior.safetensors",
        "video.safetensors",
    ),
    "images": ("prior.safetensors", "video.safetensors"),
    "prior": ("video.safetensors",),
    "video": (),
}


class FolderError(Exception):
    """The folder cannot be used for this run; the message says why and what to do."""


def claim(folder: Path, plan: Plan, processes: int) -> FileLock:
    """Take the folder for this run; release what is returned when it is over.

    A folder belongs to the plan and the number of processes it was begun with, because clips,
    latents and random numbers depend on them. Only the steps of a stage may change, as long as
    nothing was made from its result.

    Raises:
        FolderError: another run has the folder, or it belongs to another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    if not lock.acquire():
        raise FolderError(f"{folder} is used by another training; wait for it, or stop it.")
    path = folder / "plan.json"
    wanted = json.loads(json.dumps(dataclasses.asdict(plan) | {"processes": processes}))
    if path.is_file():
        problems = list(_problems(folder, json.loads(path.read_text(encoding="utf-8")), wanted))
        if problems:
            lock.release()
            raise FolderError(
                f"{folder} was begun with another plan: {'; '.join(problems)}. "
                "Use another folder, or remove this one to begin anew."
            )
    path.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
    return lock


def _problems(folder: Path, before: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What differs and may not."""
    found = []
    for name in sorted(before.keys() | wanted.keys()):
        one, other = before.get(name), wanted.get(name)
        if name in STAGES and not any((folder / later).exists() for later in _LATER[name]):
            one, other = ({**(x or {}), "steps": 0} for x in (one, other))
        if one != other:
            found.append(f"{name} was {before.get(name)} and is {wanted.get(name)}")
    return found
