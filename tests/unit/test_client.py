# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine process as Blender sees it: jobs, progress, cancel and the end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from engine import job_store
from engine.client import Limits, engine_command
from engine.errors import EngineProcessError
from engine.line_process import LineProcess
from engine.protocol import TERMINAL, Cancelled, Done, Hello, Pong, Progress, Ready, Stage
from tests.unit.processes import (
    StartEngine,
    collect,
    ended,
    has,
    is_alive,
    run_to_end,
    wait_until_gone,
)


def test_a_job_goes_from_hello_to_its_result(start: StartEngine, job_dir: Path) -> None:
    engine = start("normal")
    assert engine.state == "starting"
    engine.run(job_dir)
    messages = collect(engine, ended)
    assert isinstance(messages[0], Hello)
    assert isinstance(messages[1], Ready)
    stages = [message.name for message in messages if isinstance(message, Stage)]
    assert stages == ["loading", "encoding", "editing", "decoding", "writing"]
    assert messages[-1] == Done(str(job_dir), str(job_dir / "result.json"))
    assert engine.state == "ready"
    assert job_store.state(job_dir) == "done"
    assert len(list((job_dir / "frames").glob("??????.png"))) == 6


def test_the_same_process_takes_one_job_after_another(start: StartEngine, job_dir: Path) -> None:
    engine = start("normal")
    assert isinstance(run_to_end(engine, job_dir), Done)
    pid = engine.pid
    assert isinstance(run_to_end(engine, job_dir), Done)
    assert engine.pid == pid


def test_progress_tells_the_time_left_once_it_can(start: StartEngine, job_dir: Path) -> None:
    engine = start("slow", step_seconds=0.15, steps=4)
    engine.run(job_dir)
    messages = collect(engine, ended)
    progress = [message for message in messages if isinstance(message, Progress)]
    assert [(message.done, message.total) for message in progress] == [(n, 4) for n in range(1, 5)]
    assert 0 < progress[-1].seconds_left < progress[0].seconds_left < 5


def test_an_idle_engine_may_keep_silent(start: StartEngine) -> None:
    limits = Limits(silence_seconds=0.5)
    engine = start("normal", limits)
    collect(engine, has(Ready))
    time.sleep(limits.silence_seconds * 2)
    assert engine.poll() == []
    assert engine.seconds_since_message > limits.silence_seconds
    engine.ping()
    assert collect(engine, has(Pong)) == [Pong()]


def test_cancel_ends_a_job_and_keeps_the_engine(start: StartEngine, job_dir: Path) -> None:
    engine = start("slow", Limits(), step_seconds=0.05, steps=1000)
    engine.run(job_dir)
    collect(engine, has(Progress))
    began = time.monotonic()
    engine.cancel()
    engine.cancel()
    assert collect(engine, ended)[-1] == Cancelled(str(job_dir))
    assert time.monotonic() - began < 1
    assert engine.state == "ready"
    assert job_store.state(job_dir) == "cancelled"
    assert (job_dir / "checkpoint.safetensors").exists()


def test_a_cancel_right_after_the_run_is_not_lost(start: StartEngine, job_dir: Path) -> None:
    engine = start("slow", Limits(), step_seconds=0.05, steps=1000)
    collect(engine, has(Ready))
    for _ in range(20):
        engine.run(job_dir)
        engine.cancel()
        assert collect(engine, ended)[-1] == Cancelled(str(job_dir))


def test_a_cancel_while_the_engine_starts_takes_the_job_back(
    start: StartEngine, job_dir: Path
) -> None:
    engine = start("normal")
    engine.run(job_dir)
    engine.cancel()
    assert collect(engine, ended)[-1] == Cancelled(str(job_dir))
    assert has(Ready)(collect(engine, has(Ready)))
    assert job_store.state(job_dir) == "new"


def test_stop_is_orderly_and_the_job_counts_as_cancelled(start: StartEngine, job_dir: Path) -> None:
    engine = start("slow", Limits(), step_seconds=0.05, steps=1000)
    engine.run(job_dir)
    collect(engine, has(Progress))
    pid = engine.pid
    began = time.monotonic()
    engine.stop()
    assert time.monotonic() - began < 2
    assert pid
    assert not is_alive(pid)
    terminal = [message for message in engine.poll() if isinstance(message, TERMINAL)]
    assert terminal == [Cancelled(str(job_dir))]
    assert engine.poll() == []
    engine.stop()


def test_closing_without_waiting_ends_the_process_in_a_thread(
    start: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start("normal")
    collect(engine, has(Ready))
    dispose = LineProcess.dispose

    def dispose_slowly(process: LineProcess) -> None:
        time.sleep(1)
        dispose(process)

    monkeypatch.setattr(LineProcess, "dispose", dispose_slowly)
    pid, began = engine.pid, time.monotonic()
    engine.close(must_wait=False)
    assert time.monotonic() - began < 0.5
    assert engine.state == "stopped"
    assert pid
    assert wait_until_gone(pid, 5) < 5
    (reaper,) = (thread for thread in threading.enumerate() if thread.name == "engine-reaper")
    reaper.join(5)


def test_a_second_job_is_refused_while_one_runs(start: StartEngine, job_dir: Path) -> None:
    engine = start("slow")
    engine.run(job_dir)
    with pytest.raises(EngineProcessError, match="busy"):
        engine.run(job_dir)


def test_the_workers_command_is_isolated_from_blender(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/blender")
    argv, env = engine_command(tmp_path / "python", tmp_path)
    assert argv[:6] == [str(tmp_path / "python"), "-B", "-P", "-m", "engine", "serve"]
    assert argv[6:] == ["--idle-minutes", "10", "--memory", "auto"]
    assert env["PYTHONPATH"] == str(tmp_path)
    assert "PYTHONHOME" not in env
    assert "LD_LIBRARY_PATH" not in env
    assert env["HF_HUB_OFFLINE"] == env["TRANSFORMERS_OFFLINE"] == env["PYTHONUTF8"] == "1"


def test_a_log_that_grew_long_is_begun_anew(start: StartEngine, tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_bytes(b"x" * (1 << 21))
    start("normal")
    assert (tmp_path / "worker.log").stat().st_size < 1 << 20
