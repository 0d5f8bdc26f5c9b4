# SPDX-License-Identifier: GPL-3.0-or-later
"""What of old jobs is removed, and what never is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine import job_cleaning, job_store
from engine.job_cleaning import Cleaned, clean, removable
from tests.unit.jobs import make_job, touch


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """One job of each kind, the first made the oldest."""
    names = ("failed", "imported", "cancelled", "done", "interrupted")
    found = {name: job_store.create(tmp_path, make_job(), name=name) for name in names}
    job_store.write_failure(found["failed"], "numerical", "NaN.")
    job_store.write_failure(found["cancelled"], "cancelled", "Cancelled.")
    for name in ("imported", "done"):
        touch(found[name], "source/000001.png", "frames/000001.png", "result.json")
    touch(found["imported"], "imported")
    touch(found["interrupted"], "checkpoint.safetensors")
    for age, name in enumerate(reversed(names)):
        touch(found[name], "blender.json")
        for path in (found[name], *found[name].iterdir()):
            os.utime(path, (1e9 - age, 1e9 - age))
    return found


def test_everything_but_results_and_open_jobs_goes(tmp_path, folders):
    cleaned = clean([tmp_path])
    assert set(cleaned.folders) == {
        folders["failed"],
        folders["cancelled"],
        folders["imported"] / "source",
    }
    assert cleaned.bytes > 0
    assert (folders["imported"] / "frames" / "000001.png").exists()
    assert (folders["done"] / "source" / "000001.png").exists()
    assert (folders["interrupted"] / "checkpoint.safetensors").exists()
    assert clean([tmp_path]) == Cleaned((), 0)


def test_a_claimed_job_is_left_alone(tmp_path, folders):
    lock = job_store.claim(folders["failed"])
    assert lock
    clean([tmp_path])
    assert folders["failed"].exists()
    lock.release()


def test_the_oldest_go_first_and_only_down_to_the_limit(tmp_path, folders):
    items = removable([tmp_path, tmp_path])  # a folder that is named twice counts once
    assert [item.folder.name.split("-")[2] for item in items] == [
        "failed",
        "imported",
        "cancelled",
    ]
    total = sum(item.bytes for item in items)
    assert clean([tmp_path], keep_bytes=total) == Cleaned((), 0)
    cleaned = clean([tmp_path], keep_bytes=total - 1)
    assert cleaned.folders == (folders["failed"],)
    assert folders["cancelled"].exists()


def test_what_is_kept_of_clips_goes_unless_a_job_may_be_reading_it(tmp_path, folders):
    touch(tmp_path, f"references/{'a' * 64}/00001-000000.safetensors")
    lock = job_store.claim(folders["interrupted"])
    assert lock
    clean([tmp_path])
    assert (tmp_path / f"references/{'a' * 64}").exists()
    lock.release()
    assert clean([tmp_path]) == Cleaned((tmp_path / f"references/{'a' * 64}",), 1)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert clean([tmp_path / "unplugged drive"]) == Cleaned((), 0)


def test_an_editors_own_references_and_jobs_that_can_go_on_stay(tmp_path):
    touch(tmp_path, "references/moodboard/photo.png")
    job = job_store.create(tmp_path, make_job(), name="full")
    job_store.write_failure(job, "out_of_memory", "Memory ran out.")
    touch(job, "checkpoint.safetensors")
    assert job in job_store.recoverable(tmp_path)
    assert clean([tmp_path]) == Cleaned((), 0)
    assert (tmp_path / "references/moodboard/photo.png").exists()
    assert (job / "checkpoint.safetensors").exists()


def test_what_vanishes_while_it_is_measured_counts_as_nothing(tmp_path, folders, monkeypatch):
    frames = folders["failed"] / "frames"
    touch(folders["failed"], "frames/000001.png")
    listed = os.scandir

    def vanishing(path):
        if not isinstance(path, int) and Path(path) == frames:
            shutil.rmtree(frames, ignore_errors=True)
        return listed(path)

    before = next(item for item in removable([tmp_path]) if item.folder == folders["failed"])
    monkeypatch.setattr(os, "scandir", vanishing)
    after = next(item for item in removable([tmp_path]) if item.folder == folders["failed"])
    assert not frames.exists()
    assert 0 < after.bytes < before.bytes


def test_what_blender_did_not_make_stays(tmp_path, folders):
    (folders["cancelled"] / "blender.json").unlink()  # `engine edit -o`, stopped to go on later
    touch(folders["cancelled"], "my notes.txt", "checkpoint.safetensors")
    clean([tmp_path])
    assert (folders["cancelled"] / "my notes.txt").exists()
    assert (folders["cancelled"] / "checkpoint.safetensors").exists()
    assert not folders["failed"].exists()


def test_a_job_that_is_retried_while_others_are_measured_stays(tmp_path, folders, monkeypatch):
    look, locks = job_cleaning.removable, []

    def looked(roots):
        found = look(roots)
        locks.append(job_store.claim(folders["cancelled"]))  # Retry is pressed
        job_store.remove(folders["failed"] / "failure.json")  # and elsewhere begun anew
        return found

    monkeypatch.setattr(job_cleaning, "removable", looked)
    cleaned = clean([tmp_path])
    assert folders["cancelled"].exists()
    assert folders["failed"].exists()
    assert cleaned.folders == (folders["imported"] / "source",)
    locks[0].release()


def test_what_a_job_may_be_reading_stays(tmp_path, folders, monkeypatch):
    kept = tmp_path / "references" / ("a" * 64)
    touch(kept, "0.safetensors")
    look, locks = job_cleaning.removable, []

    def looked(roots):
        found = look(roots)
        locks.append(job_store.claim(folders["interrupted"]))
        return found

    assert kept in [item.folder for item in removable([tmp_path])]
    with monkeypatch.context() as patch:
        patch.setattr(job_cleaning, "removable", looked)
        clean([tmp_path])
    assert kept.exists()
    locks[0].release()
    clean([tmp_path])
    assert not kept.exists()


def test_a_job_that_another_blender_removes_is_passed_over(tmp_path, folders, monkeypatch):
    look = job_store.list_jobs

    def listed(root):
        found = look(root)
        job_store.remove(folders["failed"])
        return found

    monkeypatch.setattr(job_store, "list_jobs", listed)
    assert folders["cancelled"] in [item.folder for item in removable([tmp_path])]
    assert folders["interrupted"] in job_store.recoverable(tmp_path)
