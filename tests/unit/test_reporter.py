# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running job says, and how long it will still take."""

from __future__ import annotations

import threading

import pytest

from engine.errors import CancelledError
from engine.protocol import Message, Notice, Progress, Stage
from engine.reporter import ProtocolReporter, Reporter
from engine.time_left import SHARES, UNKNOWN, TimeLeft


class FakeClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class TestReporter:
    """What a job says becomes messages."""

    def test_progress_is_told_ten_times_a_second_and_at_the_end(self) -> None:
        sent: list[Message] = []
        clock = FakeClock()
        reporter = ProtocolReporter(sent.append, job="j", cancel=threading.Event(), clock=clock)
        reporter.stage("editing")
        for done in range(1, 101):
            clock.seconds += 0.01
            reporter.progress(done, 100)
        progress = [message for message in sent if isinstance(message, Progress)]
        assert 9 <= len(progress) <= 12
        assert progress[-1].done == 100
        assert sent[0] == Stage("j", "editing")

    def test_a_new_stage_is_told_at_once(self) -> None:
        sent: list[Message] = []
        reporter = ProtocolReporter(
            sent.append, job="j", cancel=threading.Event(), clock=FakeClock()
        )
        for stage in SHARES:
            reporter.stage(stage)
            reporter.progress(0, 10)
        assert len(sent) == 2 * len(SHARES)

    def test_a_warning_and_a_cancel_pass_through(self) -> None:
        sent: list[Message] = []
        cancel = threading.Event()
        reporter = ProtocolReporter(sent.append, job="j", cancel=cancel)
        reporter.warning("Short mask.", hint="Held.")
        assert sent == [Notice("j", "Short mask.", "Held.")]
        reporter.check_cancelled()
        cancel.set()
        with pytest.raises(CancelledError):
            reporter.check_cancelled()

    def test_the_base_keeps_silent(self) -> None:
        reporter = Reporter()
        reporter.stage("editing")
        reporter.progress(1, 2)
        reporter.warning("x")
        reporter.check_cancelled()


class TestTimeLeft:
    """Time left of the whole job, on a clock that stands still between steps."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    def work(self, left: TimeLeft, clock: FakeClock, units: range, total: int, pace: float) -> None:
        for done in units:
            clock.seconds += pace
            left.progress(done, total)

    def test_it_is_unknown_before_anything_and_while_loading(self, clock: FakeClock) -> None:
        left = TimeLeft(clock)
        assert left.seconds() == UNKNOWN
        left.progress(1, 2)
        left.stage("loading")
        self.work(left, clock, range(1, 5), 10, 1.0)
        assert left.seconds() == UNKNOWN
        left.stage("encoding")
        assert left.seconds() == UNKNOWN

    def test_a_job_with_the_assumed_shares_is_foretold_exactly(self, clock: FakeClock) -> None:
        left = TimeLeft(clock)
        for stage, share in SHARES.items():
            left.stage(stage)
            for done in range(1, 11):
                clock.seconds += 10 * share
                left.progress(done, 10)
                if stage != "loading":
                    assert left.seconds() == pytest.approx(100 - clock.seconds)
        assert clock.seconds == pytest.approx(100)
        assert left.seconds() == pytest.approx(0)

    def test_a_slow_stage_corrects_the_estimate(self, clock: FakeClock) -> None:
        left = TimeLeft(clock)
        left.stage("encoding")
        self.work(left, clock, range(1, 8), 7, 0.01)
        left.stage("editing")
        assert left.seconds() < 2
        self.work(left, clock, range(1, 11), 100, 1.0)
        assert 90 < left.seconds() < 120

    def test_a_resumed_stage_is_not_taken_for_a_fast_one(self, clock: FakeClock) -> None:
        left = TimeLeft(clock)
        left.stage("editing")
        clock.seconds += 0.1
        left.progress(150, 200)
        self.work(left, clock, range(151, 161), 200, 2.0)
        after_editing = 200 * 2.0 * (SHARES["decoding"] + SHARES["writing"]) / SHARES["editing"]
        assert left.seconds() == pytest.approx(40 * 2.0 + after_editing)

    def test_it_never_falls_below_zero_in_a_stage_without_progress(self, clock: FakeClock) -> None:
        left = TimeLeft(clock)
        left.stage("editing")
        self.work(left, clock, range(1, 11), 10, 1.0)
        left.stage("writing")
        clock.seconds += 1000
        assert left.seconds() == 0

    def test_a_stage_with_nothing_to_do_is_no_fault(self, clock: FakeClock) -> None:
        left = TimeLeft(clock)
        left.stage("editing")
        left.progress(0, 0)
        left.stage("decoding")
        left.progress(0, 0)
        assert left.seconds() >= UNKNOWN
