# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of `edit -o`: begun, resumed, found done, or refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine import job_store
from engine.errors import InvalidJobError
from engine.job import EditJob
from engine.output_folder import prepare_folder
from tests.unit.jobs import make_job, touch


@pytest.fixture
def job(tmp_path: Path) -> EditJob:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"")
    os.utime(clip, (1, 1))
    media = make_job().source
    return make_job(source=type(media)(path=str(clip), kind="movie", frames=(0,)))


def test_an_empty_or_missing_folder_begins(tmp_path: Path, job: EditJob) -> None:
    assert prepare_folder(tmp_path / "a" / "out", job, overwrite=False) == "begin"
    assert job_store.load(tmp_path / "a" / "out") == job


def test_the_same_job_resumes_and_its_result_is_kept(tmp_path: Path, job: EditJob) -> None:
    out = tmp_path / "out"
    prepare_folder(out, job, overwrite=False)
    touch(out, "checkpoint.safetensors")
    assert prepare_folder(out, job, overwrite=False) == "resume"
    touch(out, "result.json")
    assert prepare_folder(out, job, overwrite=False) == "done"


def test_another_jobs_result_is_refused_and_replaced_only_when_asked(
    tmp_path: Path, job: EditJob
) -> None:
    out = tmp_path / "out"
    other = make_job(source=job.source, seed=5)
    prepare_folder(out, other, overwrite=False)
    touch(out, "result.json", "frames/000001.png", "notes.txt")
    with pytest.raises(InvalidJobError, match="another edit") as caught:
        prepare_folder(out, job, overwrite=False)
    assert "--overwrite" in caught.value.hint
    assert (out / "frames" / "000001.png").exists()
    assert prepare_folder(out, job, overwrite=True) == "begin"
    assert job_store.load(out) == job
    assert sorted(p.name for p in out.iterdir()) == ["job.json", "notes.txt"]


def test_a_clip_that_changed_since_makes_it_another_edit(tmp_path: Path, job: EditJob) -> None:
    out = tmp_path / "out"
    prepare_folder(out, job, overwrite=False)
    touch(out, "result.json")
    later = time.time() + 100
    os.utime(job.source.path, (later, later))
    with pytest.raises(InvalidJobError):
        prepare_folder(out, job, overwrite=False)


def test_a_job_that_did_nothing_yet_gives_way(tmp_path: Path, job: EditJob) -> None:
    out = tmp_path / "out"
    prepare_folder(out, make_job(seed=5), overwrite=False)
    assert prepare_folder(out, job, overwrite=False) == "begin"
    (out / "job.json").write_text("torn", encoding="utf-8")
    assert prepare_folder(out, job, overwrite=False) == "begin"


def test_files_of_others_without_a_job_are_not_written_over(tmp_path: Path, job: EditJob) -> None:
    touch(tmp_path / "out", "frames/000001.png")
    with pytest.raises(InvalidJobError):
        prepare_folder(tmp_path / "out", job, overwrite=False)


def test_a_running_job_is_never_overwritten(tmp_path: Path, job: EditJob) -> None:
    out = tmp_path / "out"
    prepare_folder(out, job, overwrite=False)
    with job_store.running(out), pytest.raises(InvalidJobError, match="running"):
        prepare_folder(out, job, overwrite=True)
