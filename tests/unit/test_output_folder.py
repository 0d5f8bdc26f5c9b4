# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of `edit -o`: begun, resumed, found done, or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import job_store
from engine.errors import InvalidJobError
from engine.job import EditJob
from engine.media import Mask, Media
from engine.output_folder import Plan, clear, prepared_folder
from tests.unit.jobs import make_job, touch


def prepare_folder(out: Path, job: EditJob, *, overwrite: bool) -> Plan:
    """What is planned; the folder is not held."""
    with prepared_folder(out, job, overwrite=overwrite) as plan:
        return plan


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
    touch(out, "result.json", "frames/000001.png")
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
    assert sorted(p.name for p in out.iterdir()) == [
        ".run.lock",
        "inputs.json",
        "job.json",
        "notes.txt",
    ]


@pytest.mark.parametrize("seconds", [-100, 100])
def test_a_clip_that_was_replaced_makes_it_another_edit(
    tmp_path: Path, job: EditJob, seconds: float
) -> None:
    out = tmp_path / "out"
    prepare_folder(out, job, overwrite=False)
    touch(out, "result.json", "frames/000001.png")
    when = Path(job.source.path).stat().st_mtime + seconds
    os.utime(job.source.path, (when, when))
    with pytest.raises(InvalidJobError, match="another edit"):
        prepare_folder(out, job, overwrite=False)


@pytest.mark.parametrize("rest", [(), ("frames/000001.png",), ("frames/000002.png",)])
def test_a_result_without_all_its_frames_is_made_again(
    tmp_path: Path, job: EditJob, rest: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    source = Media(path=job.source.path, kind="movie", frames=(0, 1))
    job = make_job(source=source)
    prepare_folder(out, job, overwrite=False)
    touch(out, "result.json", *rest)
    assert prepare_folder(out, job, overwrite=False) == "resume"
    assert job_store.state(out) == "new"
    touch(out, "result.json", "frames/000001.png", "frames/000002.png")
    assert prepare_folder(out, job, overwrite=False) == "done"
    (out / "frames" / "000002.png").write_bytes(b"")
    assert prepare_folder(out, job, overwrite=False) == "resume"


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


def test_removing_a_link_leaves_what_it_points_to(job_dir: Path, tmp_path: Path) -> None:
    touch(tmp_path, "precious/film.mov")
    (job_dir / "frames").symlink_to(tmp_path / "precious")
    clear(job_dir)
    assert (tmp_path / "precious" / "film.mov").exists()
    assert not (job_dir / "frames").is_symlink()


def test_while_an_edit_has_its_folder_no_other_can_put_its_job_there(
    tmp_path: Path, job: EditJob
) -> None:
    out = tmp_path / "out"
    other = make_job(source=job.source, seed=5)
    with prepared_folder(out, job, overwrite=False) as plan:
        assert plan == "begin"
        for again in (job, other):
            with pytest.raises(InvalidJobError, match="Another process"):
                prepare_folder(out, again, overwrite=True)
        assert job_store.load(out) == job
    assert prepare_folder(out, other, overwrite=True) == "begin"


def images(folder: Path, *names: str) -> Media:
    touch(folder, *names)
    return Media(path=str(folder), kind="images", frames=(0,), files=names)


def movie(path: Path) -> Media:
    touch(path.parent, path.name)
    return Media(path=str(path), kind="movie", frames=(0,))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["frames/000001.png", "frames/sub/1.png", "compare.png", "1.png", "linked/1.png"]
)
def test_pictures_where_the_results_go_are_never_the_clip(
    tmp_path: Path, name: str, overwrite: bool
) -> None:
    out = tmp_path / "shot"
    clip = images((out / name).parent, Path(name).name, "2.png")
    if name == "linked/1.png":
        (out / "frames").symlink_to(out / "linked")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidJobError, match="clip"):
        prepare_folder(out, make_job(source=clip), overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["edited.mp4", "edited.mkv"])
def test_a_movie_of_an_earlier_edit_is_not_replaced_by_an_edit_of_itself(
    tmp_path: Path, job: EditJob, name: str
) -> None:
    out = tmp_path / "out"
    prepare_folder(out, job, overwrite=False)
    clip = movie(out / name)
    (tmp_path / "link.mp4").symlink_to(out / name)
    for source in (clip, movie(tmp_path / "link.mp4")):
        with pytest.raises(InvalidJobError, match="where the edit writes"):
            prepare_folder(out, make_job(source=source), overwrite=True)
    mask = Mask(media=clip)
    with pytest.raises(InvalidJobError, match="The mask"):
        prepare_folder(out, make_job(source=job.source, mask=mask), overwrite=True)
    assert (out / name).exists()


def test_a_clip_beside_its_results_is_no_obstacle(tmp_path: Path) -> None:
    clip, mask = movie(tmp_path / "clip.mp4"), images(tmp_path, "mask.png")
    job = make_job(source=clip, mask=Mask(media=mask))
    assert prepare_folder(tmp_path, job, overwrite=True) == "begin"


def test_a_folder_that_no_edit_of_ours_made_is_not_cleared(tmp_path: Path, job: EditJob) -> None:
    out = tmp_path / "out"
    touch(out, "frames/000001.png", "edited.mp4")
    for text in (None, "torn", "{}"):
        if text is not None:
            (out / "job.json").write_text(text, encoding="utf-8")
        with pytest.raises(InvalidJobError, match="frames"):
            prepare_folder(out, job, overwrite=True)
    assert (out / "frames" / "000001.png").exists()
    assert (out / "edited.mp4").exists()


def test_only_our_own_frames_are_removed_from_the_frames_folder(
    tmp_path: Path, job: EditJob
) -> None:
    out = tmp_path / "out"
    prepare_folder(out, job, overwrite=False)
    touch(out, "frames/000001.png", "frames/1000000.png", "frames/notes.txt", "frames/12.png")
    assert prepare_folder(out, job, overwrite=True) == "begin"
    assert sorted(p.name for p in (out / "frames").iterdir()) == ["12.png", "notes.txt"]
