# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's loop, spoken to through its pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import job_store, server
from engine.errors import CancelledError, NumericalError
from engine.protocol import (
    Cancel,
    Cancelled,
    Done,
    Failure,
    Message,
    Ping,
    Quit,
    Run,
    Unload,
    encode,
)
from engine.reporter import Reporter
from tests.unit.jobs import make_job

FAKE = Path(__file__).resolve().parents[1] / "fake_engine.py"


class Worker:
    """The fake engine with bare pipes."""

    def __init__(self, scenario: str, **variables: object) -> None:
        named = {f"FAKE_ENGINE_{name.upper()}": str(value) for name, value in variables.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(FAKE), scenario],
            env={**os.environ, **named},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def say(self, *messages: Message | bytes) -> None:
        assert self.process.stdin
        for message in messages:
            data = message if isinstance(message, bytes) else encode(message).encode()
            self.process.stdin.write(data)

    def hear(self, kind: str) -> dict[str, Any]:
        """The next message of a kind; the test's timeout is the process's own end."""
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if message["type"] == kind:
                return message
        raise AssertionError(f"no {kind} came")

    def hear_unloaded(self) -> None:
        """The next line on stderr, which the fake engine writes when it lets its model go."""
        assert self.process.stderr
        assert self.process.stderr.readline() == b"unloaded\n"

    def end(self) -> tuple[int, str]:
        """Close stdin; exit code and what else is on stderr."""
        assert self.process.stdin
        self.process.stdin.close()
        code = self.process.wait(5)
        assert self.process.stderr
        return code, self.process.stderr.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.close()


def begin(workers: list[Worker], scenario: str, **variables: object) -> Worker:
    workers.append(Worker(scenario, **variables))
    return workers[-1]


def test_hello_comes_first_and_names_the_process(workers: list[Worker]) -> None:
    worker = begin(workers, "no_ready")
    hello = worker.hear("hello")
    assert hello["pid"] == worker.process.pid
    assert worker.process.poll() is None


def test_a_closed_stdin_ends_the_worker_in_2_seconds(workers: list[Worker]) -> None:
    for scenario in ("normal", "no_ready"):
        worker = begin(workers, scenario)
        worker.hear("hello" if scenario == "no_ready" else "ready")
        began = time.monotonic()
        worker.end()
        assert time.monotonic() - began < 2


def test_a_job_whose_parent_is_gone_is_interrupted_and_not_cancelled(
    workers: list[Worker], job_dir: Path
) -> None:
    worker = begin(workers, "slow", steps=1000, step_seconds=0.05)
    worker.hear("ready")
    worker.say(Run(str(job_dir)))
    for _ in range(3):
        worker.hear("progress")
    worker.end()
    assert job_store.read_failure(job_dir) is None
    assert job_store.state(job_dir) == "interrupted"
    assert job_store.recoverable(job_dir.parent) == [job_dir]


def test_quit_ends_the_worker_with_exit_code_0(workers: list[Worker]) -> None:
    worker = begin(workers, "normal")
    worker.hear("ready")
    worker.say(Quit())
    assert worker.process.wait(2) == 0


@pytest.mark.parametrize("line", [b"garbage\n", b"\xff\n", b'{"protocol": 99, "type": "ping"}\n'])
def test_a_parent_that_speaks_garbage_is_told_and_left(workers: list[Worker], line: bytes) -> None:
    worker = begin(workers, "normal")
    worker.hear("ready")
    worker.say(line)
    failure = worker.hear("failure")
    assert (failure["job"], failure["code"]) == ("", "protocol")
    assert worker.process.wait(2) == 2


def test_a_ping_is_answered_also_while_a_job_runs(workers: list[Worker], job_dir: Path) -> None:
    worker = begin(workers, "slow", steps=1000, step_seconds=0.05)
    worker.hear("ready")
    worker.say(Run(str(job_dir)))
    worker.hear("progress")
    began = time.monotonic()
    worker.say(Ping())
    worker.hear("pong")
    assert time.monotonic() - began < 1
    worker.say(Cancel())
    assert worker.hear("cancelled")["job"] == str(job_dir)


def test_a_cancel_without_a_job_does_not_hit_the_next_one(
    workers: list[Worker], job_dir: Path
) -> None:
    worker = begin(workers, "normal")
    worker.hear("ready")
    worker.say(Cancel(), Ping())
    worker.hear("pong")
    worker.say(Run(str(job_dir)))
    worker.hear("done")


def test_a_second_job_at_a_time_breaks_the_protocol(workers: list[Worker], job_dir: Path) -> None:
    worker = begin(workers, "slow", steps=1000, step_seconds=0.05)
    worker.hear("ready")
    worker.say(Run(str(job_dir)), Run(str(job_dir)))
    assert worker.hear("failure")["code"] == "protocol"
    assert worker.process.wait(3) == 2


def test_a_folder_that_is_no_job_fails_alone_and_stays_clean(
    workers: list[Worker], tmp_path: Path
) -> None:
    (tmp_path / "not a job").mkdir()
    worker = begin(workers, "normal")
    worker.hear("ready")
    for folder in (tmp_path / "not a job", tmp_path / "nowhere"):
        worker.say(Run(str(folder)))
        assert worker.hear("failure")["code"] == "invalid_job"
    assert list((tmp_path / "not a job").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_models_are_unloaded_on_request_when_idle_and_when_memory_ran_out(
    workers: list[Worker], job_dir: Path
) -> None:
    worker = begin(workers, "normal")
    worker.hear("ready")
    worker.say(Unload())
    worker.hear_unloaded()
    assert "unloaded" not in worker.end()[1]
    worker = begin(workers, "normal", idle_seconds=0.1)
    worker.hear("ready")
    worker.say(Run(str(job_dir)))
    worker.hear("done")
    worker.hear_unloaded()
    time.sleep(0.5)  # several times the idle limit: it has nothing more to let go
    assert "unloaded" not in worker.end()[1]
    worker = begin(workers, "out_of_memory")
    worker.hear("ready")
    worker.say(Run(str(job_store.create(job_dir.parent, make_job(), name="b"))))
    worker.hear("failure")
    worker.end()


def test_models_are_unloaded_soon_after_a_cancel_unless_another_job_follows(
    workers: list[Worker], job_dir: Path
) -> None:
    worker = begin(workers, "slow", steps=1000, step_seconds=0.05, idle_seconds=0)
    worker.hear("ready")
    other = job_store.create(job_dir.parent, make_job(), name="b")
    for folder in (job_dir, other):
        worker.say(Run(str(folder)))
        worker.hear("progress")
        worker.say(Cancel())
        assert worker.hear("cancelled")["job"] == str(folder)
    time.sleep(server.AFTER_CANCEL_SECONDS + 1)
    assert worker.process.poll() is None
    assert worker.end()[1].count("unloaded") == 1


def test_a_worker_says_now_and_then_that_it_lives(
    workers: list[Worker], job_dir: Path, tmp_path: Path
) -> None:
    quick = tmp_path / "quick.py"
    quick.write_text(
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(FAKE.parents[1])!r})\n"
        "from engine import server\n"
        "server.HEARTBEAT_SECONDS = 0.05\n"
        f"sys.argv = [{str(FAKE)!r}, 'long_native_call']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n",
        encoding="utf-8",
    )
    worker = begin(workers, "normal")
    worker.close()
    worker.process = subprocess.Popen(
        [sys.executable, "-B", str(quick)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    worker.hear("ready")
    worker.say(Run(str(job_dir)))
    for _ in range(5):
        worker.hear("pong")


class TestRunOne:
    """The border at which every error becomes one message."""

    def test_a_result_is_done(self, job_dir: Path) -> None:
        end = server.run_one(job_dir, lambda folder, _reporter: folder / "result.json", Reporter())
        assert end == Done(str(job_dir), str(job_dir / "result.json"))

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (NumericalError("NaN at step 3.", hint="Lower it."), "numerical"),
            (MemoryError(), "out_of_memory"),
            (KeyError("x"), "internal"),
        ],
    )
    def test_an_error_is_told_and_recorded(
        self, job_dir: Path, error: Exception, code: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def fail(_job_dir: Path, _reporter: Reporter) -> Path:
            raise error

        end = server.run_one(job_dir, fail, Reporter())
        assert isinstance(end, Failure)
        record = job_store.read_failure(job_dir)
        assert record == job_store.FailureRecord(code, end.message, end.hint)
        assert ("Traceback" in capfd.readouterr().err) == (code == "internal")

    def test_a_cancelled_job_is_recorded_as_such(self, job_dir: Path) -> None:
        def cancel(_job_dir: Path, _reporter: Reporter) -> Path:
            raise CancelledError("Stopped.")

        assert server.run_one(job_dir, cancel, Reporter()) == Cancelled(str(job_dir))
        assert job_store.state(job_dir) == "cancelled"

    def test_a_job_that_runs_elsewhere_is_left_alone(self, job_dir: Path) -> None:
        with job_store.running(job_dir):
            end = server.run_one(job_dir, lambda folder, _reporter: folder, Reporter())
        assert isinstance(end, Failure)
        assert job_store.state(job_dir) == "new"

    def test_a_failure_that_cannot_be_recorded_is_told_all_the_same(self, job_dir: Path) -> None:
        def fail(folder: Path, _reporter: Reporter) -> Path:
            (folder / "failure.json").mkdir()  # so that nothing can be written there
            raise NumericalError("NaN.")

        end = server.run_one(job_dir, fail, Reporter())
        assert isinstance(end, Failure)
        assert end.code == "numerical"
