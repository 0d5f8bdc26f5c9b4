# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the running job's picture, before and after, as an icon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy.utils.previews

from ..engine.reachable import has_file
from ..operators.queued_job import QueuedJob

_shown = (-1, 0)
"""The picture that is loaded last: serial number of the job, and its number in it."""
_pictures: Any = None


def icon(job: QueuedJob) -> int:
    """Number of an icon with the job's newest picture; 0 while there is none."""
    global _shown
    if not job.preview_count or _pictures is None:
        return 0
    wanted = (job.serial, job.preview_count)
    if wanted != _shown and has_file(Path(job.preview)):
        # A name of its own for each picture: one that is on the screen must not change under it.
        picture = _pictures.load(str(wanted), job.preview, "IMAGE")
        _ = picture.image_size[0]  # reads the file now: later, the icon would be empty for a moment
        if len(_pictures) > 2:
            del _pictures[next(iter(_pictures))]
        _shown = wanted
    is_of_job = _shown[0] == job.serial and str(_shown) in _pictures
    return _pictures[str(_shown)].icon_id if is_of_job else 0


def register() -> None:
    """Make the store of pictures."""
    global _pictures
    _pictures = bpy.utils.previews.new()


def unregister() -> None:
    """Free the pictures."""
    global _pictures, _shown
    bpy.utils.previews.remove(_pictures)
    _pictures, _shown = None, (-1, 0)
