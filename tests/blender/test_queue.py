"""The queue goes on whatever happens, and says in the job's folder how a job ended."""

import dataclasses
import json

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
    assert part("operators.recovery").scan() == []
