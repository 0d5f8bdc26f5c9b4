# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): jobs that a crash or a closed Blender left behind.

Their folders are found through a list of the folders that ever held jobs, which all Blender
versions of a user share.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from .. import preferences
from ..engine import job_store
from ..engine.atomic_file import write_atomic
from ..engine.errors import EngineError, InvalidJobError
from ..engine.job import LEAST_AREA_SCALE
from ..engine.schema import dumps
from . import jobs, result_import
from .folder_look import FolderLook
from .shared_files import changing, shared_file
from .words import rpt_

_ROOTS = "job_folders.txt"
SMALLER_STILL = 0.25
"""Share of the area that is tried when the memory ran out, and half of it was tried already."""


@dataclass(frozen=True)
class Recovered:
    """A job to offer again."""

    folder: Path
    title: str
    blend: str


found: list[Recovered] = []
_of_open_file: set[Path] = set()


def follow_file(job_folder: Path) -> None:
    """Keep the job's placement up to date when the open file is saved, or saved elsewhere."""
    _of_open_file.add(job_folder)


def remember_root(root: Path) -> None:
    """Look for jobs in this folder at later starts too."""
    if root in known_roots():
        return
    path = shared_file(_ROOTS)
    with changing(path):
        # Also those that are not there now: a drive may be unplugged.
        text = "".join(f"{r}\n" for r in (*known_roots(), root))
        write_atomic(path, text)


def known_roots() -> list[Path]:
    """Folders that ever held jobs."""
    try:
        text = shared_file(_ROOTS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [Path(line) for line in text.splitlines() if line]


def all_roots() -> list[Path]:
    """Those, and where the open file's jobs are."""
    return list(dict.fromkeys([*known_roots(), preferences.jobs_root(bpy.data.filepath)]))


def scan() -> None:
    """Look for unfinished jobs that are in nobody's queue; finished ones are in the results."""
    _show(found)  # without those that are in the queue by now
    look.look(all_roots())


def unfinished(roots: list[Path]) -> list[Recovered]:
    """Unfinished jobs that nobody has claimed; touches no bpy."""
    offered = []
    for folder in dict.fromkeys(f for root in roots for f in job_store.recoverable(root)):
        placement = result_import.load_placement(folder)
        if placement is not None and not _is_finished(folder):
            offered.append(Recovered(folder, placement.strip_name, placement.blend))
    return offered


def _show(offered: list[Recovered]) -> None:
    in_queue = {job.folder for job in jobs.queue.jobs}
    found[:] = [item for item in offered if item.folder not in in_queue]


look = FolderLook("unfinished-jobs", unfinished, _show)


def _is_finished(folder: Path) -> bool:
    """Whether a job has its result; one that is being removed needs no one either."""
    try:
        return job_store.state(folder) in ("done", "imported")
    except InvalidJobError:
        return True


def resume(folder: Path) -> jobs.QueuedJob:
    """Put a job back into the queue.

    Raises:
        EngineError: It cannot be read, or another Blender works on it.
    """
    job = job_store.load(folder)
    placement = result_import.load_placement(folder)
    if placement is None:
        raise InvalidJobError(rpt_("{folder} was not made by Blender.", folder=folder))
    if job_store.state(folder) != "done":
        preferences.engine_python()  # says at once when the engine is not installed
    lock = job_store.claim(folder)
    if lock is None:
        raise _in_use(rpt_("Look there."))
    # Now that nobody else has it: this list may be older than what another Blender did.
    if job_store.state(folder) == "imported":
        lock.release()
        raise _already_finished()
    queued = jobs.QueuedJob(folder, placement.strip_name, job, lock)
    jobs.queue.add(queued)
    scan()
    return queued


def resume_smaller(folder: Path) -> jobs.QueuedJob:
    """Put a job back into the queue, at a smaller working size.

    Raises:
        EngineError: It cannot be read or written, or another Blender works on it.
    """
    job = job_store.load(folder)
    lock = job_store.claim(folder)
    if lock is None:
        raise _in_use(rpt_("Look there."))
    try:
        if _is_finished(folder):
            raise _already_finished()
        scale = max(job.area_scale * SMALLER_STILL, LEAST_AREA_SCALE)
        smaller = dumps(replace(job, area_scale=scale), indent=1) + "\n"
        write_atomic(folder / job_store.JOB, smaller)
    finally:
        lock.release()
    return resume(folder)


def discard(folder: Path) -> None:
    """Delete an unfinished job with all its files.

    Raises:
        EngineError: It is no job folder, it is in use, or it has its result: another Blender may
            have finished it since it was offered here.
    """
    delete(folder, is_wanted=lambda: not _is_finished(folder))


def delete(folder: Path, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
    """Delete a job with all its files, its result too.

    Args:
        folder: Of the job.
        is_wanted: Asked when nobody else can have it any more.

    Raises:
        EngineError: It is no job folder, it is in use, or not to be deleted after all.
    """
    job_store.state(folder)  # raises when this is no job folder
    lock = job_store.claim(folder)
    if lock is None:
        raise _in_use(rpt_("Cancel it first."))
    if not is_wanted():
        lock.release()
        raise _already_finished()
    if not job_store.remove_job(folder, lock):
        text = rpt_("{folder} cannot be deleted.", folder=folder)
        raise InvalidJobError(text, hint=rpt_("Delete it by hand."))
    jobs.queue.jobs = [job for job in jobs.queue.jobs if job.folder != folder]
    found[:] = [item for item in found if item.folder != folder]
    scan()


def _already_finished() -> InvalidJobError:
    scan()
    return InvalidJobError(
        rpt_("This edit is finished: another Blender has done it."),
        hint=rpt_("It is in Results."),
    )


def _in_use(hint: str) -> InvalidJobError:
    return InvalidJobError(rpt_("Another Blender is working on this job."), hint=hint)


@persistent
def _after_load(_path: Any) -> None:
    _of_open_file.clear()
    scan()


@persistent
def _after_save(_path: Any) -> None:
    for folder in _of_open_file:
        placement = result_import.load_placement(folder)
        if placement is None or placement.blend == bpy.data.filepath:
            continue
        try:
            result_import.save_placement(folder, replace(placement, blend=bpy.data.filepath))
        except EngineError as error:
            print(f"Delta Strip: {error}")


def register() -> None:
    """Look for jobs at the start and after each load; end the engine with Blender."""
    bpy.app.handlers.load_post.append(_after_load)
    bpy.app.handlers.save_post.append(_after_save)
    # Later: during registration the file may not be read.
    if not bpy.app.background:
        bpy.app.timers.register(scan, first_interval=0.5)
    atexit.register(jobs.queue.shut_down)


def unregister() -> None:
    """Undo `register`, and end the engine."""
    bpy.app.handlers.load_post.remove(_after_load)
    bpy.app.handlers.save_post.remove(_after_save)
    for function in (scan, jobs.poll):
        if bpy.app.timers.is_registered(function):
            bpy.app.timers.unregister(function)
    atexit.unregister(jobs.queue.shut_down)
    jobs.queue.shut_down()
    look.close()
    found.clear()
    _of_open_file.clear()
