# SPDX-License-Identifier: GPL-3.0-or-later
"""Job folders: what their files say, and that nothing in them is torn, lost or run twice."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from engine import atomic_file, job_store
from engine.errors import EngineError, InvalidJobError, StorageError
from engine.file_lock import FileLock, is_taken
from tests.unit.jobs import make_job, touch

ROOT = Path(__file__).resolve().parents[2]


def test_a_new_folder_is_named_readably_and_holds_its_job(tmp_path: Path) -> None:
    folder = job_store.create(tmp_path / "deep er" / "jöbs", make_job(), name="Autó: a/b\\c\n..")
    assert "Autó-a-b-c" in folder.name
    assert job_store.load(folder) == make_job()
    assert sorted(p.name for p in folder.iterdir()) == ["job.json"]


def test_folders_of_one_second_and_one_name_are_different(tmp_path: Path) -> None:
    folders = {job_store.create(tmp_path, make_job(), name="") for _ in range(5)}
    assert len(folders) == 5
    assert job_store.list_jobs(tmp_path) == sorted(folders)


def test_the_state_is_read_from_the_files(job_dir: Path) -> None:
    assert job_store.state(job_dir) == "new"
    touch(job_dir, "checkpoint.safetensors")
    assert job_store.state(job_dir) == "interrupted"
    job_store.write_failure(job_dir, "numerical", "NaN.")
    assert job_store.state(job_dir) == "failed"
    job_store.write_failure(job_dir, "cancelled", "Stopped.")
    assert job_store.state(job_dir) == "cancelled"
    with job_store.running(job_dir):
        assert job_store.state(job_dir) == "running"
        touch(job_dir, "result.json")
    assert job_store.state(job_dir) == "done"
    job_store.mark_imported(job_dir)
    assert job_store.state(job_dir) == "imported"


def test_a_folder_without_a_job_is_no_job(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobError, match=r"no job\.json"):
        job_store.state(tmp_path)
    with pytest.raises(InvalidJobError, match="cannot be read"):
        job_store.load(tmp_path)
    with pytest.raises(InvalidJobError), job_store.running(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    assert job_store.list_jobs(tmp_path / "nowhere") == []


@pytest.mark.parametrize("text", [b"", b"\xff", b"{}", b"[]", b'{"version": 1}'])
def test_a_damaged_job_file_is_an_error_with_a_sentence(job_dir: Path, text: bytes) -> None:
    (job_dir / "job.json").write_bytes(text)
    with pytest.raises(EngineError):
        job_store.load(job_dir)
    assert job_store.list_jobs(job_dir.parent) == [job_dir]


def test_a_damaged_failure_record_does_not_hide_the_job(job_dir: Path) -> None:
    touch(job_dir, "failure.json")
    assert job_store.read_failure(job_dir) is None
    assert job_store.state(job_dir) == "new"


def test_a_new_run_forgets_the_failure_of_the_last(job_dir: Path) -> None:
    job_store.write_failure(job_dir, "numerical", "NaN.", "Try less.")
    failure = job_store.read_failure(job_dir)
    assert failure
    assert failure.hint == "Try less."
    with job_store.running(job_dir):
        assert job_store.read_failure(job_dir) is None


def test_a_new_run_sweeps_what_a_killed_one_was_writing(job_dir: Path) -> None:
    rests = [".12.part.edited.mp4", ".12.part.result.json", "frames/.12.part.000003.png"]
    kept = [
        ".12.part.blender.json",  # Blender may be writing it now
        "frames/000001.png",
        "frames/.12.part.notes.txt",
    ]
    touch(job_dir, *rests, *kept, ".13.part.failure.json")
    os.utime(job_dir / ".13.part.failure.json", (1, 1))
    with job_store.running(job_dir):
        for name in (*rests, ".13.part.failure.json"):
            assert not (job_dir / name).exists()
        for name in kept:
            assert (job_dir / name).exists()


def test_a_process_killed_while_it_writes_a_frame_leaves_nothing_in_the_next_run(
    job_dir: Path,
) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from engine import atomic_file, job_store
        folder = Path(sys.argv[1])
        with job_store.running(folder):
            (folder / "frames").mkdir()
            atomic_file.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
            atomic_file.write_atomic(folder / "frames" / "000003.png", b"x")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), job_dir], cwd=ROOT, check=False)
    (rest,) = (job_dir / "frames").iterdir()
    assert rest.name.endswith(".part.000003.png")
    with job_store.running(job_dir):
        assert list((job_dir / "frames").iterdir()) == []


def test_a_job_with_a_result_never_becomes_a_failed_one(job_dir: Path) -> None:
    touch(job_dir, "result.json")
    job_store.write_failure(job_dir, "engine_process", "Gone.")
    assert job_store.state(job_dir) == "done"
    assert not (job_dir / "failure.json").exists()


def test_one_job_is_not_run_twice_at_a_time(job_dir: Path) -> None:
    with (
        job_store.running(job_dir),
        pytest.raises(InvalidJobError, match="Another process"),
        job_store.running(job_dir),
    ):
        pass
    with job_store.running(job_dir):
        pass


def test_the_lock_of_a_killed_process_is_free_at_once(job_dir: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from engine import job_store
        lock = job_store.claim(Path(sys.argv[1]))
        with job_store.running(Path(sys.argv[1])):
            print("locked", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(job_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    with process, process.stdout:
        assert process.stdout.readline() == b"locked\n"
        assert job_store.state(job_dir) == "running"
        assert job_store.claim(job_dir) is None
        assert job_store.recoverable(job_dir.parent) == []
        process.kill()
        process.wait()
    assert job_store.state(job_dir) == "new"
    assert job_store.recoverable(job_dir.parent) == [job_dir]


def test_looking_at_a_lock_does_not_keep_others_from_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_taken(path)
    for _ in range(50):
        lock = FileLock(path)
        assert lock.acquire()
        assert lock.acquire()  # twice is once
        assert is_taken(path)
        lock.release()
        lock.release()
        assert not is_taken(path)


def test_a_lock_in_a_folder_that_is_gone_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        FileLock(tmp_path / "gone" / "lock").acquire()


def test_recovery_offers_what_is_unfinished_or_not_imported(tmp_path: Path) -> None:
    names = ("new", "interrupted", "done", "imported", "failed", "claimed")
    folders = {name: job_store.create(tmp_path, make_job(), name=name) for name in names}
    touch(folders["interrupted"], "checkpoint.safetensors")
    touch(folders["done"], "result.json")
    touch(folders["imported"], "result.json", "imported")
    job_store.write_failure(folders["failed"], "numerical", "NaN.")
    lock = job_store.claim(folders["claimed"])
    assert lock
    offered = {folder.name.split("-", 2)[2] for folder in job_store.recoverable(tmp_path)}
    assert offered == {"new", "interrupted", "done"}
    lock.release()
    assert folders["claimed"] in job_store.recoverable(tmp_path)


def test_a_folder_that_nobody_may_look_into_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_dir = job_store.create(tmp_path, make_job(), name="mine")
    (tmp_path / "lost+found").mkdir()
    is_file = Path.is_file

    def refused(path: Path) -> bool:
        if path.parent.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    assert job_store.list_jobs(tmp_path) == [job_dir]
    assert job_store.recoverable(tmp_path) == [job_dir]


def test_a_claimed_job_is_removed_with_its_lock(job_dir: Path) -> None:
    lock = job_store.claim(job_dir)
    assert lock is not None
    assert job_store.remove_job(job_dir, lock)
    assert not job_dir.exists()
    assert not lock.is_held


@pytest.mark.parametrize(
    ("code", "without_checkpoint", "with_checkpoint"),
    [
        ("storage", True, True),
        ("engine_process", True, True),
        ("numerical", False, True),
        ("media", False, True),
        ("invalid_job", False, False),
        ("cancelled", False, False),
    ],
)
def test_recovery_offers_a_failed_job_that_can_resume(
    job_dir: Path, code: str, without_checkpoint: bool, with_checkpoint: bool
) -> None:
    job_store.write_failure(job_dir, code, "It stopped.")
    assert job_store.recoverable(job_dir.parent) == [job_dir] * without_checkpoint
    touch(job_dir, "checkpoint.safetensors")
    assert job_store.recoverable(job_dir.parent) == [job_dir] * with_checkpoint


def test_a_path_of_a_job_stays_inside_its_folder_also_through_links(
    job_dir: Path, tmp_path: Path
) -> None:
    touch(job_dir, "source/1.png")
    (job_dir / "loot").symlink_to(tmp_path)
    assert job_store.resolve(job_dir, "source/1.png") == (job_dir / "source/1.png").resolve()
    assert job_store.resolve(job_dir, str(tmp_path / "x.mp4")) == tmp_path / "x.mp4"
    for path in ("loot/x.mp4", "../x", "C:\\x.mp4", ""):
        with pytest.raises(InvalidJobError):
            job_store.resolve(job_dir, path)


def test_a_job_folder_may_itself_be_reached_through_a_link(job_dir: Path, tmp_path: Path) -> None:
    touch(job_dir, "source/1.png")
    (tmp_path / "link").symlink_to(job_dir)
    assert job_store.resolve(tmp_path / "link", "source/1.png").is_file()


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    job_store.write_atomic(path, "old ü")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left.*MB free") as caught:
        job_store.write_atomic(path, b"new")
    assert str(path) in caught.value.message
    assert "resume" in caught.value.hint
    assert path.read_text(encoding="utf-8") == "old ü"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(
    tmp_path: Path, number: int
) -> None:
    error = atomic_file.storage_error(OSError(number, os.strerror(number)), tmp_path / "a" / "b")
    assert "can be written to" in error.hint


def test_writing_into_a_folder_that_is_gone_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        job_store.write_atomic(tmp_path / "gone" / "x", "")
    touch(tmp_path, "file")
    with pytest.raises(StorageError):
        job_store.create(tmp_path / "file", make_job(), name="x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_really_full_disk_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_file, "part_path", lambda _path: Path("/dev/full"))
    monkeypatch.setattr(atomic_file.Path, "unlink", lambda *_args, **_kwargs: None)
    with pytest.raises(StorageError, match="No space left"):
        job_store.write_atomic(Path("/dev/never"), "x")
