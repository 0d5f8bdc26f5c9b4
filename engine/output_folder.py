# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the folder that `edit -o` names, and what is in it.

Nothing that someone may want is written over unless asked: a folder is begun, resumed, found done,
or refused.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

from . import job_store
from .atomic_file import storage_error, write_atomic
from .errors import EngineError, InvalidJobError
from .job import EditJob, Media
from .schema import dumps

Plan = Literal["begin", "resume", "done"]


def prepare_folder(job_dir: Path, job: EditJob, *, overwrite: bool) -> Plan:
    """Make a folder hold this job, ready to run.

    Args:
        job_dir: The folder; made when missing. Files that no run writes are left alone.
        job: The edit.
        overwrite: Remove what an earlier run left.

    Returns:
        `begin` for a new run, `resume` when the folder holds the beginning of this very job,
        `done` when it holds its result.

    Raises:
        InvalidJobError: The folder holds something else, or its job is running.
        StorageError: It cannot be written.
    """
    try:
        job_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, job_dir) from error
    has_job = (job_dir / job_store.JOB).exists()
    if has_job and job_store.state(job_dir) == "running":
        raise InvalidJobError(
            f"Another process is running the job in {job_dir}.",
            hint="Wait until it has ended, or choose another folder.",
        )
    if overwrite:
        job_store.clear(job_dir)
    elif has_job and _is_same(job_dir, job):
        return "done" if job_store.state(job_dir) in ("done", "imported") else "resume"
    elif job_store.has_outputs(job_dir):
        raise InvalidJobError(
            f"{job_dir} holds the result, or the beginning, of another edit.",
            hint="Choose another folder with -o, or replace what is there with --overwrite.",
        )
    write_atomic(job_dir / job_store.JOB, dumps(job, indent=1) + "\n")
    return "begin"


def _is_same(job_dir: Path, job: EditJob) -> bool:
    """Whether the folder's job is this one, and its clip and mask did not change since."""
    try:
        if job_store.load(job_dir) != job:
            return False
    except EngineError:
        return False
    media = [job.source, *([job.mask.media] if job.mask and job.mask.media else [])]
    written = (job_dir / job_store.JOB).stat().st_mtime
    return all(_changed(item, job_dir) <= written for item in media)


def _changed(media: Media, job_dir: Path) -> float:
    path = job_store.resolve(job_dir, media.path)
    newest = 0.0
    for file in [path] if media.kind == "movie" else [path / name for name in media.files]:
        with contextlib.suppress(OSError):  # what cannot be read is reported when it is read
            newest = max(newest, file.stat().st_mtime)
    return newest
