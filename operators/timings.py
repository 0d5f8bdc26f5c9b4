# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through preferences, never torch): how long an edit will take.

Measured, never assumed: each job that ran in one go leaves its pace in the user's folder. What has
no precedent on this device with this method is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..engine import job_store
from ..engine.atomic_file import write_atomic
from ..engine.errors import EngineError
from ..engine.job import EditJob
from . import method_fields, model_choice, settings
from .shared_files import changing, shared_file

_FILE = "timings.json"
_MOST_KEPT = 100
_MOST_USED = 5


@dataclass(frozen=True)
class Pace:
    """The pace of one job.

    Attributes:
        backbone: The model, as the job calls it.
        method: The guidance.
        device: As the job asked for it.
        threads: CPU threads.
        loading: Seconds until the model was there.
        step: Seconds of editing per frame, allowed step and pixel the model works on. Steps that
            the stopping rule spared count, so it is what a step costs typically.
        pixel: Seconds of encoding, decoding and writing per frame and pixel of the clip.
    """

    backbone: str
    method: str
    device: str
    threads: int
    loading: float
    step: float
    pixel: float

    def is_like(self, backbone: str, method: str, computer: settings.Computer) -> bool:
        """Whether a job like that would have the same pace."""
        asked = (backbone, method, computer.device, computer.threads)
        return asked == (self.backbone, self.method, self.device, self.threads)


_known: list[Pace] | None = None


def known() -> list[Pace]:
    """The paces so far, oldest first; read once."""
    global _known
    if _known is None:
        try:
            text = (shared_file(_FILE)).read_text(encoding="utf-8")
            _known = [Pace(**item) for item in json.loads(text)]
        except (OSError, ValueError, TypeError):  # none yet, or of another version
            _known = []
    return _known


def forget() -> None:
    """Read the file anew when it is needed next."""
    global _known
    _known = None


def record(job_folder: Path, job: EditJob) -> None:
    """Keep the pace of a job that ran from its first step to its last in one go."""
    pace = measured(job_folder, job)
    if pace is None:
        return
    path = shared_file(_FILE)
    with changing(path):
        forget()  # another Blender may have added its own
        paces = [*known(), pace][-_MOST_KEPT:]
        try:
            write_atomic(path, json.dumps([asdict(item) for item in paces], indent=1))
        except EngineError as error:  # a full disk costs an estimate, not the result
            print(f"Delta Strip: {error}")
    known()[:] = paces


def measured(job_folder: Path, job: EditJob) -> Pace | None:
    """The pace that result.json tells; None when it lacks a figure."""
    try:
        result = json.loads((job_folder / job_store.RESULT).read_text(encoding="utf-8"))
        seconds: dict[str, float] = result["seconds"]
        frames = result["frame_count"]
        work = frames * job.settings.most_steps * result["working_width"] * result["working_height"]
        pixels = frames * result["width"] * result["height"]
        return Pace(
            backbone=job.backbone,
            method=job.method,
            device=job.device,
            threads=job.threads,
            loading=seconds["loading"],
            step=seconds["editing"] / work,
            pixel=sum(seconds[name] for name in ("encoding", "decoding", "writing")) / pixels,
        )
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def median(values: Iterable[float]) -> float:
    """The middle one of some values; Python's own would cost Blender's start 20 ms."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def estimate(
    values: Any,
    clips: Iterable[tuple[int, tuple[int, int]]],
    computer: settings.Computer,
    *,
    is_loaded: bool,
) -> float | None:
    """Seconds that editing these clips takes, one after the other; None while it is unknown.

    Args:
        values: `scene.delta_strip`.
        clips: Frames, and width and height in px, of each.
        computer: Device and threads.
        is_loaded: Whether the model is there already.

    Raises:
        InvalidJobError: A setting or a size cannot be honoured.
        BackboneError: The model cannot be used.
    """
    backbone = model_choice.chosen_name()
    alike = [pace for pace in known() if pace.is_like(backbone, values.method, computer)]
    if not alike:
        return None
    alike = alike[-_MOST_USED:]
    steps = method_fields.edit_settings(values).most_steps
    seconds = 0.0 if is_loaded else median(pace.loading for pace in alike)
    for frames, size in clips:
        plan = settings.planned_size(values, size)
        work = frames * steps * plan.padded_width * plan.padded_height
        seconds += median(pace.step for pace in alike) * work
        seconds += median(pace.pixel for pace in alike) * frames * size[0] * size[1]
    return seconds
