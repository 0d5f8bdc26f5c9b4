# SPDX-License-Identifier: GPL-3.0-or-later
"""When an engine counts as dead: time limits, without waiting."""

from __future__ import annotations

from engine.liveness import Limits, Liveness, PatientClock
from engine.protocol import Hello, Pong, Progress, Ready, Stage


def test_time_in_which_nobody_looked_does_not_count() -> None:
    readings = iter([0.0, 1.0, 3.0, 1000.0, 1001.0])
    clock = PatientClock(lambda: next(readings), gap_seconds=5)
    assert [clock.now() for _ in range(4)] == [1.0, 3.0, 3.0, 4.0]


def test_each_stage_has_its_own_limit_for_getting_nowhere() -> None:
    limits = Limits()
    for stage, seconds in limits.stage_seconds.items():
        liveness = Liveness(limits, 0)
        liveness.heard(Ready("cpu", "", 0), 0)
        liveness.job_began(0)
        liveness.heard(Stage("j", stage), 0)
        liveness.heard(Pong(), seconds - 1)
        assert liveness.problem(seconds - 1) == ""
        liveness.heard(Pong(), seconds + 1)
        assert stage in liveness.problem(seconds + 1)


def test_a_job_that_tells_progress_may_take_for_ever() -> None:
    liveness = Liveness(Limits(), 0)
    liveness.heard(Ready("cpu", "", 0), 0)
    liveness.job_began(0)
    for hour in range(100):
        liveness.heard(Progress("j", "editing", hour, 100, -1.0), hour * 1000.0)
        assert liveness.problem(hour * 1000.0 + 1) == ""


def test_an_engine_without_work_has_no_limit() -> None:
    liveness = Liveness(Limits(), 0)
    liveness.heard(Ready("cpu", "", 0), 0)
    assert liveness.problem(1e9) == ""
    liveness.job_began(0)
    liveness.job_ended()
    assert liveness.problem(1e9) == ""


def test_hello_and_ready_have_limits() -> None:
    liveness = Liveness(Limits(), 0)
    assert "said nothing" in liveness.problem(11)
    liveness.heard(Hello(1, "", ""), 9)
    assert liveness.problem(179) == ""
    assert "not ready" in liveness.problem(181)
