# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): job folders and what their files say about a job.

A job folder holds job.json, source/ and mask/ (pictures Blender rendered), while unfinished
checkpoint.safetensors and preview.png, then frames/000001.png …, edited.mp4, edited.mkv,
compare.png, result.json (written last: its presence means done), failure.json (why it stopped),
engine.log, blender.json (Blender's own), inputs.json (`edit`'s own) and the marker `imported`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .atomic_file import storage_error, sweep_parts, write_atomic
from .errors import EngineError, InvalidJobError, StorageError
from .file_lock import FileLock, is_taken
from .job import EditJob, parse_job
from .job_paths import check_path, is_absolute
from .schema import dumps, from_plain, loads

JobState = Literal["new", "running", "interrupted", "done", "failed", "cancelled", "imported"]

JOB = "job.json"
RESULT = "result.json"
REFERENCES = "references"  # beside the job folders
_REFERENCE_NAME = re.compile(r"[0-9a-f]{64}")  # a sha256: engine/editing/identity.py
PREVIEW = "preview.png"
FAILURE = "failure.json"
CHECKPOINT = "checkpoint.safetensors"
FRAMES = "frames"
LOG = "engine.log"
IMPORTED = "imported"
PLACEMENT = "blender.json"  # where the strip was; only Blender's own jobs have it
RUN_FILES = (CHECKPOINT, PREVIEW, "edited.mp4", "edited.mkv", "compare.png", RESULT)
"""What a run alone writes, beside the frames."""
FRAME_NAME = re.compile(r"\d{6,}\.png")
_PASSING = ("storage", "out_of_memory", "engine_process", "internal")
_HOPELESS = ("invalid_job", "protocol", "mask")
_STALE_SECONDS = 60.0
_RUN_LOCK = ".run.lock"
_CLAIM_LOCK = ".claim.lock"
_NAME_LENGTH = 40


@dataclass(frozen=True)
class FailureRecord:
    """The contents of failure.json; the code `cancelled` marks a job stopped on request."""

    code: str
    message: str
    hint: str


def create(root: Path, job: EditJob, *, name: str) -> Path:
    """Make a new job folder with a readable, unique name and write its job.json.

    Args:
        root: Folder of the job folders; made when missing.
        job: The edit.
        name: What a person calls it, such as the strip's name.

    Raises:
        StorageError: The folder cannot be made.
    """
    readable = re.sub(r"[^\w]+", "-", name).strip("-_")[:_NAME_LENGTH] or "edit"
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{readable}"
    for number in range(1, 10_000):
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            root.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            if not root.is_dir():
                raise StorageError(f"{root} is a file; a folder is needed.") from None
            continue
        except OSError as error:
            raise storage_error(error, folder) from error
        try:
            write_atomic(folder / JOB, dumps(job, indent=1) + "\n")
        except StorageError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise
        return folder
    raise StorageError(f"{root / stem} and all its numbered names exist already.")


def load(job_dir: Path) -> EditJob:
    """The job of a folder.

    Raises:
        InvalidJobError: There is no readable job.json, or it holds a value that cannot be honoured.
        ProtocolError: It is of another version, or not valid.
    """
    try:
        text = (job_dir / JOB).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidJobError(
            f"{job_dir} is not a job folder: {JOB} cannot be read ({reason}).",
            hint=f"Give the folder that holds {JOB}.",
        ) from None
    return parse_job(text)


def state(job_dir: Path) -> JobState:
    """How far a job got, from its files and its lock alone.

    Raises:
        InvalidJobError: There is no job.json.
    """
    if not _is_job(job_dir):
        raise InvalidJobError(f"{job_dir} is not a job folder: it has no {JOB}.")
    if (job_dir / RESULT).is_file():
        return "imported" if (job_dir / IMPORTED).exists() else "done"
    if is_taken(job_dir / _RUN_LOCK):
        return "running"
    if failure := read_failure(job_dir):
        return "cancelled" if failure.code == "cancelled" else "failed"
    return "interrupted" if (job_dir / CHECKPOINT).is_file() else "new"


def list_jobs(root: Path) -> list[Path]:
    """All job folders under a root, oldest first; empty when there is no such folder."""
    try:
        folders = sorted(root.iterdir())
    except OSError:
        return []
    return [folder for folder in folders if _is_job(folder)]


def _is_job(folder: Path) -> bool:
    try:
        return (folder / JOB).is_file()
    except OSError:  # one that nobody may look into, such as a drive's lost+found
        return False


def recoverable(root: Path) -> list[Path]:
    """Jobs to offer after a crash, oldest first: unfinished or not imported, and unclaimed.

    Failed ones too, where the cause can pass (a full disk, a process that fell over) or work is
    saved; not those that would fail again as they are.
    """
    found = []
    for folder in list_jobs(root):
        with contextlib.suppress(InvalidJobError):  # another Blender removes it at this moment
            if is_worth_offering(folder) and not is_claimed(folder):
                found.append(folder)
    return found


def is_worth_offering(job_dir: Path) -> bool:
    """Whether going on with a job, or importing it, can succeed."""
    how = state(job_dir)
    if how == "failed" and (failure := read_failure(job_dir)):
        has_work = (job_dir / CHECKPOINT).is_file() and failure.code not in _HOPELESS
        return has_work or failure.code in _PASSING
    return how in ("new", "interrupted", "done")


def claim(job_dir: Path) -> FileLock | None:
    """Take a job into one's queue; None when another Blender has it.

    Keep the lock for as long as the job is in the queue, until it is imported.
    """
    lock = FileLock(job_dir / _CLAIM_LOCK)
    return lock if lock.acquire() else None


def is_reference(folder: Path) -> bool:
    """Whether a folder in `REFERENCES` is ours: it may lie among an editor's own."""
    return folder.is_dir() and _REFERENCE_NAME.fullmatch(folder.name) is not None


def is_claimed(job_dir: Path) -> bool:
    """Whether the job is in a Blender's queue."""
    return is_taken(job_dir / _CLAIM_LOCK)


@contextlib.contextmanager
def running(job_dir: Path) -> Iterator[None]:
    """Hold a job while it runs, so that no other process runs it; forgets an earlier failure.

    Raises:
        InvalidJobError: The folder has no job.json, or another process runs the job.
    """
    if not (job_dir / JOB).is_file():
        raise InvalidJobError(f"{job_dir} is not a job folder: it has no {JOB}.")
    with held(job_dir):
        begin_run(job_dir)
        yield


@contextlib.contextmanager
def held(job_dir: Path) -> Iterator[None]:
    """Keep others from running, or replacing, the job of a folder; it need not have one yet.

    Raises:
        InvalidJobError: Another process runs the job.
    """
    lock = FileLock(job_dir / _RUN_LOCK)
    if not lock.acquire():
        raise InvalidJobError(
            f"Another process is running the job in {job_dir}.",
            hint="Wait until it has ended, or choose another folder.",
        )
    try:
        yield
    finally:
        lock.release()


def begin_run(job_dir: Path) -> None:
    """Forget an earlier run's failure and unfinished files; only while the job is `held`."""
    remove(job_dir / FAILURE)
    # Only who holds the job writes frames and results; Blender may write its notes at any time.
    sweep_parts(job_dir / FRAMES, lambda name, _age: bool(FRAME_NAME.fullmatch(name)))
    sweep_parts(job_dir, lambda name, age: name in RUN_FILES or age > _STALE_SECONDS)


def write_failure(job_dir: Path, code: str, message: str, hint: str = "") -> None:
    """Record why a job stopped; a job that has its result keeps it and records nothing."""
    if not (job_dir / RESULT).is_file():
        write_atomic(job_dir / FAILURE, dumps(FailureRecord(code, message, hint), indent=1) + "\n")


def read_failure(job_dir: Path) -> FailureRecord | None:
    """Why a job stopped; None when it did not, or when the record cannot be read."""
    try:
        text = (job_dir / FAILURE).read_text(encoding="utf-8")
        return from_plain(FailureRecord, loads(text), where=FAILURE)
    except (OSError, UnicodeDecodeError, EngineError):
        return None


def mark_imported(job_dir: Path) -> None:
    """Record that the result is in a Blender file."""
    write_atomic(job_dir / IMPORTED, "")


def remove(path: Path) -> bool:
    """Remove a file or folder (a link: only itself); True when nothing is left."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return not path.exists()


def remove_job(job_dir: Path, lock: FileLock) -> bool:
    """Remove a job that one has claimed, and release the claim; True when nothing is left.

    job.json goes first: from then on nobody else takes the folder for a job.
    """
    is_free = remove(job_dir / JOB)
    lock.release()  # Windows removes no file that is open
    return is_free and remove(job_dir)


def resolve(job_dir: Path, path: str) -> Path:
    """The file that a path in a job means: absolute, or inside the job folder also through links.

    Raises:
        InvalidJobError: It leaves the job folder, or is a path of another platform.
    """
    check_path(path, "path")
    if is_absolute(path):
        if not Path(path).is_absolute():
            raise InvalidJobError(f"{path!r} is a path of another platform.")
        return Path(path)
    root = job_dir.resolve()
    resolved = (root / path.replace("\\", "/")).resolve()
    if not resolved.is_relative_to(root):
        raise InvalidJobError(
            f"{path!r} leads to {resolved}, outside the job folder.",
            hint="Use an absolute path, or one inside the job folder.",
        )
    return resolved


def last_change(job_dir: Path) -> float:
    """When a job's state last changed, in seconds since the epoch."""
    names = (".", JOB, RESULT, FAILURE, CHECKPOINT, IMPORTED)
    times = [0.0]
    for name in names:
        with contextlib.suppress(OSError):
            times.append((job_dir / name).stat().st_mtime)
    return max(times)
