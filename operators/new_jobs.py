# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): makes the job folders of strips: all of them, or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import bpy

from .. import preferences
from ..engine import job_store
from ..engine.errors import StorageError
from ..engine.file_lock import FileLock
from ..engine.job import EditJob
from . import background_render, jobs, mask_choice, recovery, result_import, settings, strips
from .source_export import Export
from .strip_prompts import prompts_of
from .words import rpt_


def queue_jobs(
    plans: Sequence[tuple[strips.Place, Export]], seeds: Sequence[int]
) -> list[jobs.QueuedJob]:
    """Make a job of each strip and seed, and put them into the queue when all are made.

    Args:
        plans: Strips and their pictures.
        seeds: Each strip is edited with each of them.

    Raises:
        EngineError: A setting cannot be honoured, or a folder cannot be written; nothing was
            queued, and no folder is left.
    """
    made: list[jobs.QueuedJob] = []
    try:
        for place, export in plans:
            first: Path | None = None
            for seed in seeds:
                made.append(_make(place, export, seed, first))
                first = first or made[-1].folder
    except BaseException:  # also Ctrl-C of a script: a claimed folder would be left behind
        for job in made:
            job_store.remove_job(job.folder, job.lock)
        raise
    for job in made:
        recovery.follow_file(job.folder)
        jobs.queue.add(job)
    return made


def _make(place: strips.Place, export: Export, seed: int, like: Path | None) -> jobs.QueuedJob:
    """Make the job folder of one strip.

    Args:
        place: The strip.
        export: Its pictures.
        seed: Of the noise.
        like: A job of the same strip, whose rendered pictures this one can use.
    """
    scene, strip = place.scene, place.strip
    job = settings.to_job(
        scene.delta_strip,
        export,
        fps=strips.frame_rate(scene),
        computer=this_computer(),
        prompts=prompts_of(place),
    )
    job = dataclasses.replace(job, seed=seed)
    root = preferences.jobs_root(bpy.data.filepath)
    try:
        folder, lock = _claimed_folder(root, job, strip.name)
    except OSError as error:
        raise _cannot_write(root, error) from error
    try:
        result_import.save_placement(folder, _placement(place, export))
        if export.renderings:
            background_render.prepare(folder, export.renderings, like=like)
        recovery.remember_root(root)
    except BaseException as error:  # likewise
        job_store.remove_job(folder, lock)
        if isinstance(error, OSError):
            raise _cannot_write(root, error) from error
        raise
    return jobs.QueuedJob(folder, strip.name, job, lock, warnings=list(export.warnings))


def _claimed_folder(root: Path, job: EditJob, name: str) -> tuple[Path, FileLock]:
    folder = job_store.create(root, job, name=name)
    lock = job_store.claim(folder)
    assert lock is not None  # the folder is new
    return folder, lock


def _cannot_write(root: Path, error: OSError) -> StorageError:
    return StorageError(
        rpt_(
            "The job cannot be written to {folder}: {reason}.",
            folder=root,
            reason=error.strerror or error,
        ),
        hint=rpt_("Choose another results folder in the preferences."),
    )


def _placement(place: strips.Place, export: Export) -> result_import.Placement:
    """Where the result belongs, and what the panel said."""
    values, strip = place.scene.delta_strip, place.strip
    return result_import.Placement(
        strip=strips.mark(strip),
        strip_name=strip.name,
        scene=place.scene.name,
        blend=bpy.data.filepath,
        left=export.first,
        content_start=strips.content_start(strip),
        is_media_space=export.is_media_space,
        is_rendered=export.source.rendering is not None,
        mask=mask_choice.key_of(values) if export.mask else "",
        mask_kind=values.mask_kind if export.mask else "strip",
        blender_version=bpy.app.version_string,
    )


def this_computer() -> settings.Computer:
    """What the preferences say about the computer."""
    device, threads = preferences.engine_device(), preferences.engine_threads()
    return settings.Computer(device=device, threads=threads)
