"""The queue goes on whatever happens, and says in the job's folder how a job ended."""

import dataclasses
import json

import bpy
import pytest

from tests.blender.editing import poll_until, results, start


@pytest.mark.parametrize("error", [RuntimeError("strip is gone"), ValueError("torn json")])
def test_an_unexpected_error_ends_its_job_and_the_queue_goes_on(
    part, scene, clip, queue, monkeypatch, error
):
    imports = part("operators.result_import")
    insert = imports.import_result

    def fail_once(*arguments):
        monkeypatch.setattr(imports, "import_result", insert)
        raise error

    monkeypatch.setattr(imports, "import_result", fail_once)
    first, second = start(part) + start(part)
    poll_until(part, lambda: not (first.is_open or second.is_open))
    assert first.state == "failed"
    assert str(error) in first.message
    assert second.state == "done"
    assert len(results(scene)) == 1


def test_an_unexpected_error_while_a_job_runs_stops_it_in_the_engine_too(
    part, scene, clip, queue, fake, monkeypatch
):
    fake("slow", STEPS="500", STEP_SECONDS="0.02")
    first, second = start(part) + start(part)
    poll_until(part, lambda: first.done > 2)
    advance = queue._advance

    def fail_once(job):
        monkeypatch.setattr(queue, "_advance", advance)
        raise RuntimeError("context is incorrect")

    monkeypatch.setattr(queue, "_advance", fail_once)
    poll_until(part, lambda: second.done > 2)
    assert first.state == "failed"
    assert "context is incorrect" in first.message


@pytest.mark.parametrize("scenario", ["no_ready", "ignored_cancel"])
def test_a_job_that_is_cancelled_before_the_engine_can_say_so_is_not_offered_again(
    part, scene, clip, queue, fake, scenario
):
    fake(scenario)
    (job,) = start(part)
    busy = "starting" if scenario == "no_ready" else "busy"
    poll_until(part, lambda: queue.engine is not None and queue.engine.state == busy)
    limits = dataclasses.replace(queue.engine._limits, cancel_seconds=0.2, kill_seconds=0.2)
    queue.engine._limits = limits
    queue.cancel(job)
    poll_until(part, lambda: not job.is_open)
    assert job.state == "cancelled"
    assert json.loads((job.folder / "failure.json").read_text())["code"] == "cancelled"
    queue.jobs.clear()
    part("operators.recovery").scan()
    assert part("operators.recovery").found == []


def test_waiting_jobs_can_be_reordered_and_the_running_one_stays(part, scene, clip, queue, fake):
    fake("slow", STEPS="500", STEP_SECONDS="0.02")
    jobs = [start(part)[0] for _ in range(4)]
    poll_until(part, lambda: jobs[0].done > 1)

    def move(job, places: int) -> None:
        bpy.ops.delta_strip.move("EXEC_DEFAULT", job=str(job.folder), places=places)

    move(jobs[3], -1)
    assert queue.jobs == [jobs[0], jobs[1], jobs[3], jobs[2]]
    move(jobs[3], -1)
    move(jobs[3], -1)  # not before the one that runs
    assert queue.jobs == [jobs[0], jobs[3], jobs[1], jobs[2]]
    move(jobs[0], 1)  # it runs
    move(jobs[2], 1)  # it is the last
    assert queue.jobs == [jobs[0], jobs[3], jobs[1], jobs[2]]
    queue.cancel(jobs[0])
    poll_until(part, lambda: jobs[3].state == "running")
    assert [job.state for job in queue.jobs] == ["cancelled", "running", "waiting", "waiting"]


def test_one_waiting_job_can_be_cancelled_and_the_others_go_on(part, scene, clip, queue):
    jobs = [start(part)[0] for _ in range(3)]
    bpy.ops.delta_strip.cancel("EXEC_DEFAULT", job=str(jobs[1].folder))
    poll_until(part, lambda: not any(job.is_open for job in jobs))
    assert [job.state for job in jobs] == ["done", "cancelled", "done"]
    assert len(results(scene)) == 2


def test_after_out_of_memory_a_job_can_be_retried_smaller(part, scene, clip, queue, fake):
    fake("out_of_memory")
    (job,) = start(part)
    poll_until(part, lambda: not job.is_open)
    assert job.can_be_smaller
    fake("normal")
    queue.stop_engine()
    folder = str(job.folder)
    assert bpy.ops.delta_strip.retry_smaller("EXEC_DEFAULT", job=folder) == {"FINISHED"}
    (again,) = queue.jobs
    assert (again.state, again.job.area_scale) == ("done", 0.25)
    assert json.loads((again.folder / "job.json").read_text())["area_scale"] == 0.25
    assert len(results(scene)) == 1


def test_other_failures_and_the_smallest_size_are_not_retried_smaller(
    part, scene, clip, queue, fake
):
    fake("bug")
    (job,) = start(part)
    poll_until(part, lambda: not job.is_open)
    assert not job.can_be_smaller
    job.code = "out_of_memory"
    assert job.can_be_smaller
    job.job = dataclasses.replace(job.job, area_scale=1 / 64)
    assert not job.can_be_smaller


def test_the_running_jobs_picture_is_read_once_and_renewed(part, scene, clip, queue, fake):
    fake("slow", STEPS="200", STEP_SECONDS="0.05")
    (job,) = start(part)
    preview = part("panels.live_preview")
    assert preview.icon(job) == 0
    poll_until(part, lambda: job.preview_count > 0)
    preview.icon(job)  # without a window Blender gives no icon a number
    (first,) = preview._pictures.values()
    assert tuple(first.image_size) == (32, 36)
    preview.icon(job)
    assert list(preview._pictures.values()) == [first]
    poll_until(part, lambda: job.preview_count > 3)
    for _ in range(2):
        preview.icon(job)
    assert len(preview._pictures) == 2
    job.preview_count += 1
    preview.icon(job)
    assert len(preview._pictures) == 2
    assert first not in preview._pictures.values()


def test_a_retried_job_shows_its_own_pictures(part, scene, clip, fake):
    fake("slow", STEPS="200", STEP_SECONDS="0.05")
    preview, recovery = part("panels.live_preview"), part("operators.recovery")
    (job,) = start(part)
    for count in (1, 2):
        poll_until(part, lambda count=count: job.preview_count >= count)
        preview.icon(job)
    part("operators.jobs").queue.cancel(job)
    poll_until(part, lambda: not job.is_open)
    again = recovery.resume(job.folder)
    for count in (1, 2, 3):
        poll_until(part, lambda count=count: again.preview_count >= count)
        preview.icon(again)
        assert list(preview._pictures)[-1] == str((again.serial, again.preview_count))


def test_the_status_line_names_the_job_its_step_and_how_many_wait(part, scene, clip, queue, fake):
    fake("slow", STEPS="500", STEP_SECONDS="0.02")
    text = part("panels.status").queue_text
    assert text(queue.jobs) == ""
    first, _second, _third = (start(part)[0] for _ in range(3))
    poll_until(part, lambda: first.done > 1)
    assert text(queue.jobs).startswith("Editing ")
    assert "/500" in text(queue.jobs)
    assert text(queue.jobs).endswith(" · 2 waiting · clip")
