"""Folders of jobs are remembered, whatever happens to them meanwhile."""

import bpy
import pytest

from tests.blender.editing import press_edit, refused, results


def test_a_results_folder_that_is_away_for_a_while_is_not_forgotten(part, scene, tmp_path):
    recovery = part("operators.recovery")
    away, here = tmp_path / "unplugged drive", tmp_path / "here ä"
    recovery.remember_root(away)
    recovery.remember_root(here)
    recovery.remember_root(here)
    assert recovery.known_roots() == [away, here]


def test_a_list_of_folders_that_cannot_be_written_keeps_the_old_one(
    part, scene, tmp_path, monkeypatch
):
    recovery, atomic_file = part("operators.recovery"), part("engine.atomic_file")
    recovery.remember_root(tmp_path / "one")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file, "replace", full)
    with pytest.raises(part("engine.errors").StorageError, match="No space left"):
        recovery.remember_root(tmp_path / "two")
    assert recovery.known_roots() == [tmp_path / "one"]


@pytest.fixture
def finished_elsewhere(part, scene, clip, queue):
    """A job that this Blender still offers, although another one has finished and imported it."""
    assert press_edit() == {"FINISHED"}
    (job,) = queue.jobs
    recovery = part("operators.recovery")
    recovery.found.append(recovery.Recovered(job.folder, "clip", ""))
    return job.folder


@pytest.mark.parametrize("operator", ["discard", "resume", "retry_smaller"])
def test_what_another_blender_finished_is_neither_deleted_nor_done_again(
    part, scene, finished_elsewhere, operator
):
    job = (finished_elsewhere / "job.json").read_bytes()
    with pytest.raises(RuntimeError, match="another Blender has done it"):
        getattr(bpy.ops.delta_strip, operator)("EXEC_DEFAULT", job=str(finished_elsewhere))
    assert (finished_elsewhere / "frames" / "000001.png").exists()
    assert (finished_elsewhere / "job.json").read_bytes() == job
    assert part("operators.recovery").found == []
    assert len(results(scene)) == 1
    lock = part("engine.job_store").claim(finished_elsewhere)
    assert lock is not None
    lock.release()


def test_a_job_that_vanishes_while_it_is_looked_at_hides_no_other(
    part, scene, clip, fake, queue, monkeypatch
):
    recovery, job_store = part("operators.recovery"), part("engine.job_store")
    fake("crash")
    refused()
    refused()
    first, second = (job.folder for job in queue.jobs)
    queue.jobs.clear()
    look = job_store.recoverable

    def vanishing(root):
        found = look(root)
        job_store.remove(first)
        return found

    monkeypatch.setattr(job_store, "recoverable", vanishing)
    recovery.scan()
    assert [item.folder for item in recovery.found] == [second]
