# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the engine process does wrong: one terminal message, and the process is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from engine import job_store
from engine.client import EngineProcess, Limits
from engine.errors import EngineProcessError
from engine.protocol import Cancelled, Done, Failure, Ready, Stage
from tests.unit.processes import (
    FAKE,
    QUICK,
    ROOT,
    StartEngine,
    collect,
    ended,
    has,
    is_alive,
    run_to_end,
    wait_until_gone,
)


@pytest.mark.parametrize(
    ("scenario", "code", "part"),
    [
        ("crash", "engine_process", "exit code 7"),
        ("exit_zero", "engine_process", "exit code 0"),
        ("killed", "engine_process", "SIGKILL"),
        ("garbage", "protocol", "Not valid JSON"),
        ("not_utf8", "protocol", "not UTF-8"),
        ("partial_line", "protocol", "not complete"),
        ("endless_line", "protocol", "longer than"),
        ("other_version", "protocol", "99"),
        ("wrong_job", "protocol", "not given"),
        ("silence", "engine_process", "said nothing"),
        ("closed_output", "engine_process", "closed its output"),
        ("no_hello", "engine_process", "after its start"),
        ("grandchild", "engine_process", "exit code 5"),
        ("ready_failure", "device", "on fire"),
    ],
)
def test_a_process_that_fails_gives_one_failure_and_is_gone(
    start: StartEngine, job_dir: Path, scenario: str, code: str, part: str
) -> None:
    # Short only where time is the fault: a starved machine starts a process slowly.
    short = {"no_hello": {"hello_seconds": 1.0}, "silence": {"silence_seconds": 0.5}}
    engine = start(scenario, replace(QUICK, **short.get(scenario, {})))
    pid = engine.pid
    end = run_to_end(engine, job_dir)
    assert isinstance(end, Failure)
    assert (end.job, end.code) == (str(job_dir), code)
    assert part in end.message
    assert end.hint
    assert engine.state == "stopped"
    assert pid
    wait_until_gone(pid, 2)


@pytest.mark.parametrize(
    ("scenario", "code"), [("out_of_memory", "out_of_memory"), ("bug", "internal")]
)
def test_a_job_that_fails_leaves_the_engine_ready_for_the_next(
    start: StartEngine, job_dir: Path, scenario: str, code: str
) -> None:
    engine = start(scenario)
    end = run_to_end(engine, job_dir)
    assert isinstance(end, Failure)
    assert end.code == code
    assert engine.state == "ready"
    failure = job_store.read_failure(job_dir)
    assert failure
    assert failure.code == code
    assert isinstance(run_to_end(engine, job_dir), Failure)


def test_the_last_words_of_a_crash_are_in_the_hint(start: StartEngine, job_dir: Path) -> None:
    end = run_to_end(start("crash"), job_dir)
    assert isinstance(end, Failure)
    assert "the fake engine fell over" in end.hint
    assert str(job_dir / "engine.log") in end.hint
    assert job_store.state(job_dir) == "interrupted"


def test_an_engine_can_be_started_again_after_a_crash(start: StartEngine, job_dir: Path) -> None:
    engine = start("crash", at=3)
    for _ in range(2):
        assert isinstance(run_to_end(engine, job_dir), Failure)
        with pytest.raises(EngineProcessError, match="stopped"):
            engine.run(job_dir)
        engine.start()
    engine.start()  # it runs: nothing happens
    assert engine.state == "starting"


def test_an_idle_engine_that_dies_says_so_once(start: StartEngine) -> None:
    engine = start("normal")
    collect(engine, has(Ready))
    assert engine.pid
    os.kill(engine.pid, signal.SIGKILL)
    messages = collect(engine, ended)
    assert isinstance(messages[-1], Failure)
    assert messages[-1].job == ""
    assert engine.poll() == []


def test_an_engine_that_never_gets_ready_is_ended(start: StartEngine) -> None:
    engine = start("no_ready", Limits(ready_seconds=1.0))
    end = collect(engine, ended)[-1]
    assert isinstance(end, Failure)
    assert "not ready" in end.message


def test_a_job_deaf_to_cancel_is_terminated_then_killed(start: StartEngine, job_dir: Path) -> None:
    engine = start("ignored_cancel", Limits(cancel_seconds=0.2, kill_seconds=0.2))
    engine.run(job_dir)
    collect(engine, has(Stage))
    pid = engine.pid
    engine.cancel()
    assert collect(engine, ended)[-1] == Cancelled(str(job_dir))
    assert engine.state == "stopped"
    assert pid
    wait_until_gone(pid, 2)


def test_an_engine_deaf_to_everything_is_gone_ten_seconds_after_a_cancel() -> None:
    limits = Limits()
    assert limits.cancel_seconds + limits.kill_seconds <= 9.5  # and the next look at the clock


def test_cancel_ends_also_a_long_native_call(start: StartEngine, job_dir: Path) -> None:
    limits = Limits(cancel_seconds=0.2, kill_seconds=0.2)
    engine = start("long_native_call", limits, step_seconds=0.15)
    engine.run(job_dir)
    collect(engine, lambda messages: any(getattr(m, "done", 0) == 3 for m in messages))
    engine.cancel()
    assert collect(engine, ended)[-1] == Cancelled(str(job_dir))
    assert job_store.state(job_dir) == "interrupted"


def test_close_ends_a_hanging_engine_at_once(start: StartEngine, job_dir: Path) -> None:
    engine = start("silence", Limits())
    engine.run(job_dir)
    collect(engine, has(Stage))
    pid = engine.pid
    engine.close()
    assert pid
    wait_until_gone(pid, 1)
    assert engine.poll()[-1] == Cancelled(str(job_dir))


def test_what_a_dead_engine_left_running_is_ended_too(start: StartEngine, tmp_path: Path) -> None:
    engine = start("grandchild")
    collect(engine, ended)
    pid = int((tmp_path / "grandchild").read_text(encoding="utf-8"))
    wait_until_gone(pid, 2)


def test_a_program_that_cannot_be_started_is_told_with_its_name(tmp_path: Path) -> None:
    for argv, cwd in (
        ([str(tmp_path / "no python")], tmp_path),
        ([sys.executable], tmp_path / "x"),
    ):
        engine = EngineProcess(argv, cwd=cwd, env={}, log_path=tmp_path / "log")
        with pytest.raises(EngineProcessError, match="cannot be started"):
            engine.start()
        assert engine.state == "stopped"


def test_stray_output_cannot_tear_the_protocol(start: StartEngine, job_dir: Path) -> None:
    assert isinstance(run_to_end(start("stray_output"), job_dir), Done)
    log = (job_dir / "engine.log").read_text(encoding="utf-8")
    for text in ("a stray print", "a stray child", "a stray line of C"):
        assert text in log


PARENT = """
    import os, sys, time
    from pathlib import Path
    from engine.client import EngineProcess
    from engine.protocol import Progress
    fake, scenario, job, cwd = sys.argv[1:]
    engine = EngineProcess(
        [sys.executable, "-B", fake, scenario],
        cwd=Path(cwd), env=os.environ, log_path=Path(cwd, "log"),
    )
    engine.start()
    engine.run(Path(job))
    while not any(isinstance(m, Progress) and m.done >= 3 for m in engine.poll()):
        time.sleep(0.01)
    print(engine.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("scenario", ["slow", "long_native_call"])
def test_the_engine_is_gone_2_seconds_after_its_parent_was_killed(
    job_dir: Path, tmp_path: Path, scenario: str
) -> None:
    arguments = [str(FAKE), scenario, str(job_dir), str(tmp_path)]
    variables = {"FAKE_ENGINE_STEPS": "100000", "FAKE_ENGINE_STEP_SECONDS": "0.1"}
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout
    with parent, parent.stdout:
        engine_pid = int(parent.stdout.readline())
        assert is_alive(engine_pid)
        parent.kill()
        parent.wait()
    wait_until_gone(engine_pid, 2)
    assert job_store.state(job_dir) in ("interrupted", "cancelled")
