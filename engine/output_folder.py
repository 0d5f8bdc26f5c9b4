# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the folder that `edit -o` names, and what is in it.

Nothing that someone may want is written over unless asked: a folder is begun, resumed, found done,
or refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from . import job_store
from .atomic_file import storage_error, write_atomic
from .errors import EngineError, InvalidJobError, StorageError
from .job import EditJob
from .media import Media
from .schema import dumps, loads

Plan = Literal["begin", "resume", "done"]

_RESULTS = (job_store.FRAMES, *job_store.RUN_FILES, job_store.IMPORTED)
_INPUTS = "inputs.json"
"""Size and time of the clip's and the mask's files, by which a replaced one is noticed."""


@contextlib.contextmanager
def prepared_folder(job_dir: Path, job: EditJob, *, overwrite: bool) -> Iterator[Plan]:
    """Make a folder hold this job, ready to run, and hold it for as long as the block lasts.

    No other process can put its own job there, or run this one, until the block ends.

    Args:
        job_dir: The folder; made when missing. Files that no run writes are left alone.
        job: The edit.
        overwrite: Remove what an earlier run left; its job.json is the proof that one did.

    Yields:
        `begin` for a new run, `resume` when the folder holds the beginning of this very job,
        `done` when it holds its result.

    Raises:
        InvalidJobError: The folder holds something else or the clip itself, or its job is running.
        StorageError: It cannot be written.
    """
    _refuse_inputs_among_outputs(job_dir, job)
    try:
        job_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, job_dir) from error
    with job_store.held(job_dir):
        plan = _prepare(job_dir, job, overwrite=overwrite)
        if plan != "done":
            job_store.begin_run(job_dir)
        yield plan


def _prepare(job_dir: Path, job: EditJob, *, overwrite: bool) -> Plan:
    if overwrite and _holds_a_job_of_ours(job_dir):
        clear(job_dir)
    elif (job_dir / job_store.JOB).exists() and _is_same(job_dir, job):
        if not (job_dir / job_store.RESULT).is_file():
            return "resume"
        if _has_all_frames(job_dir, job):
            return "done"
        # The run that mends the result must not count as done before its end.
        _remove(job_dir / job_store.RESULT)
        _remove(job_dir / job_store.IMPORTED)
        return "resume"
    elif has_outputs(job_dir):
        raise _occupied(job_dir)
    write_atomic(job_dir / _INPUTS, dumps(_fingerprints(job_dir, job)) + "\n")
    write_atomic(job_dir / job_store.JOB, dumps(job, indent=1) + "\n")
    return "begin"


def clear(job_dir: Path) -> None:
    """Remove everything a run wrote, and the job, from a folder; files of others stay.

    Raises:
        StorageError: Something cannot be removed.
    """
    frames = job_dir / job_store.FRAMES
    targets = [job_dir / name for name in (job_store.JOB, job_store.FAILURE, _INPUTS, *_RESULTS)]
    if frames.is_dir() and not frames.is_symlink():
        targets.remove(frames)
        is_frame = job_store.FRAME_NAME.fullmatch
        targets += [p for p in frames.iterdir() if is_frame(p.name) and p.is_file()]
    for path in targets:
        _remove(path)
    with contextlib.suppress(OSError):  # what is no frame keeps the folder
        frames.rmdir()


def _remove(path: Path) -> None:
    if not job_store.remove(path):
        raise StorageError(f"{path} cannot be removed.", hint="Choose another folder.")


def has_outputs(job_dir: Path) -> bool:
    """Whether a folder holds anything that a run would write over."""
    return any((job_dir / name).exists() for name in _RESULTS)


def _holds_a_job_of_ours(job_dir: Path) -> bool:
    try:
        job_store.load(job_dir)
    except EngineError:
        return False
    return True


def _occupied(job_dir: Path) -> InvalidJobError:
    if _holds_a_job_of_ours(job_dir):
        return InvalidJobError(
            f"{job_dir} holds the result, or the beginning, of another edit.",
            hint="Choose another folder with -o, or replace what is there with --overwrite.",
        )
    found = next(name for name in _RESULTS if (job_dir / name).exists())
    return InvalidJobError(
        f"{job_dir} holds {found}, and no {job_store.JOB} that says an edit made it.",
        hint="Choose another folder with -o, or move what is there away.",
    )


def _refuse_inputs_among_outputs(job_dir: Path, job: EditJob) -> None:
    """Refuse a clip or mask that the run, or --overwrite, would write over."""
    names = (job_store.JOB, job_store.FAILURE, job_store.LOG, _INPUTS, *_RESULTS)
    outputs = {(job_dir / name).resolve() for name in names}
    for what, media in _media(job):
        # A folder of one picture may be the home of many other things; of the clip it never is.
        is_sequence = what == "clip" or len(media.files) > 1
        if media.kind == "images" and is_sequence and _same_place(media.path, job_dir):
            raise InvalidJobError(
                f"{job_dir} is the folder of the {what}'s pictures; results need their own.",
                hint="Choose another folder with -o.",
            )
        for file in _files(job_dir, media):
            for path in (file.parent.resolve() / file.name, file.resolve()):  # a link and its end
                if not outputs.isdisjoint((path, *path.parents)):
                    raise InvalidJobError(
                        f"The {what} {file} lies where the edit writes its results.",
                        hint="Choose another folder with -o.",
                    )


def _same_place(path: str, folder: Path) -> bool:
    return Path(path).resolve() == folder.resolve()


def _media(job: EditJob) -> list[tuple[str, Media]]:
    mask = job.mask.media if job.mask else None
    return [("clip", job.source), *([("mask", mask)] if mask else [])]


def _files(job_dir: Path, media: Media) -> list[Path]:
    path = job_store.resolve(job_dir, media.path)
    return [path] if media.kind == "movie" else [path / name for name in media.files]


def _has_all_frames(job_dir: Path, job: EditJob) -> bool:
    frames = job_dir / job_store.FRAMES
    with contextlib.suppress(OSError):
        sizes = {path.name: path.stat().st_size for path in frames.iterdir()}
        return all(sizes.get(f"{number:06d}.png") for number in range(1, job.frame_count + 1))
    return False


def _is_same(job_dir: Path, job: EditJob) -> bool:
    """Whether the folder's job is this one, and its clip and mask did not change since."""
    try:
        text = (job_dir / _INPUTS).read_text(encoding="utf-8")
        return job_store.load(job_dir) == job and loads(text) == _fingerprints(job_dir, job)
    except (OSError, UnicodeDecodeError, EngineError):
        return False


def _fingerprints(job_dir: Path, job: EditJob) -> list[list[int]]:
    """Bytes and nanoseconds of every file that the job reads."""
    found = []
    for _, media in _media(job):
        for file in _files(job_dir, media):
            found.append([0, 0])
            with contextlib.suppress(OSError):  # what cannot be read is reported when it is read
                facts = file.stat()
                found[-1] = [facts.st_size, facts.st_mtime_ns]
    return found
