# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts behind make: what they count, report and show."""

from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.child_process import clean_environment
from tools import development, make_demo, outcomes, run_tests
from tools.progress import Progress


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    for module in (run_tests, outcomes):
        monkeypatch.setattr(module, "RECORDS", tmp_path / "build" / "tests")
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests, "fingerprint", lambda: "tree")
    return tmp_path / "build" / "tests"


def pytest_run(tmp_path: Path, text: str) -> run_tests.Outcome:
    """Run a test file as a suite of its own."""
    (tmp_path / "test_it.py").write_text(text)
    arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_it.py"]
    return run_tests.run_pytest("a suite", Path(sys.executable), arguments, limit=60)


def test_a_suite_is_counted_from_its_own_report(tmp_path, capfd):
    text = (
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert 0\n"
        "def test_c(): pytest.skip('no')\n"
        "def test_d(nothing): pass\n"
    )
    outcome = pytest_run(tmp_path, text)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 2, 1)
    assert outcome.status == "failed"
    assert "2 failed" in outcome.reason or "see " in outcome.reason
    assert "1 passed" in capfd.readouterr().out  # pytest's own closing line stays visible


@pytest.mark.parametrize("text", ["import os\ndef test_a(): os.abort()\n", "x = 1\n"])
def test_a_suite_that_crashes_or_has_no_test_has_failed(tmp_path, text):
    outcome = pytest_run(tmp_path, text)
    assert (outcome.passed, outcome.failed) == (0, 1)
    assert "ended with status" in outcome.reason


def test_a_suite_that_takes_too_long_is_ended(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    start = time.monotonic()
    assert run_tests.run(command, clean_environment(), 0.5)[0] == 124
    assert time.monotonic() - start < 20


def test_what_was_not_run_counts_as_skipped_and_never_as_passed(capsys):
    outcomes = [
        run_tests.Outcome("unit", "passed", passed=3, seconds=1.0),
        run_tests.not_run("blender 5.2", "there is no Python 3.13"),
    ]
    assert run_tests.print_table(outcomes)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 passed, 0 failed, 1 skipped"
    assert any("blender 5.2" in line and "no Python 3.13" in line for line in lines)
    assert not run_tests.print_table(outcomes[1:])  # nothing ran: nothing was shown to work


def test_test_all_does_not_repeat_what_test_has_passed_on_the_same_files(monkeypatch):
    run_tests.Outcome("blender 4.5", "passed", passed=9, files="tree").record()
    run_tests.Outcome("blender 5.0", "passed", passed=9, files="another tree").record()
    ran = []

    def run_blenders(several, _engine):
        ran.extend(several)
        return [run_tests.Outcome(f"blender {series}", "passed", passed=1) for series in several]

    monkeypatch.setattr(run_tests, "run_blenders", run_blenders)
    monkeypatch.setattr(run_tests, "run_window", lambda _: run_tests.not_run("window", "no root"))
    found = run_tests.test_all(Path(sys.executable))
    assert ran == ["4.2", "5.0", "5.2"]
    assert [(outcome.name[-3:], outcome.passed) for outcome in found] == [
        *[("4.5", 9), ("4.2", 1), ("5.0", 1), ("5.2", 1)],
        ("dow", 0),
    ]


def test_several_blenders_run_side_by_side_and_each_is_told_as_a_whole(
    tmp_path, monkeypatch, capsys
):
    both = threading.Barrier(2)

    def ensure_wheel(series):
        if series == "5.2":
            raise run_tests.NotAvailableError("there is no Python 3.13")
        return run_tests.Runtime("bpy", series, [sys.executable])

    def run_pytest(name, _python, _arguments, *, log, **_):
        both.wait(timeout=30)
        print(f"begin {name}", file=log)
        time.sleep(0.1)
        print(f"end {name}", file=log)
        return run_tests.Outcome(name, "passed", passed=1)

    monkeypatch.setattr(run_tests, "SIDE_BY_SIDE", 2)
    monkeypatch.setattr(run_tests, "ensure_wheel", ensure_wheel)
    monkeypatch.setattr(run_tests, "run_pytest", run_pytest)
    found = run_tests.run_blenders(["4.2", "5.2", "5.0"], Path(sys.executable))
    assert {outcome.name: outcome.status for outcome in found} == {
        "blender 5.2": "not run",
        "blender 4.2": "passed",
        "blender 5.0": "passed",
    }
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("b", "e"))]
    assert told[-4:] == [f"{w} blender {s}" for s in ("4.2", "5.0") for w in ("begin", "end")]


def test_the_bar_ends_full_and_tells_stage_note_and_time_left():
    stream = io.StringIO()
    with Progress({"first": 1.0, "second": 3.0}, stream) as bar:
        bar.stage("first")
        bar.stage("second")
        bar.update(0.5, "half of it")
    lines = stream.getvalue().splitlines()
    assert "25%" in lines[1]
    assert "second" in lines[1]
    assert "left 0:0" in lines[1]
    assert "100%" in lines[-1]


def test_the_bar_of_a_run_that_failed_does_not_end_full():
    stream = io.StringIO()

    def fail() -> None:
        with Progress({"only": 1.0}, stream) as bar:
            bar.stage("only")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert "only" in stream.getvalue().splitlines()[-1]
    assert "100%" not in stream.getvalue()


def test_a_python_that_is_too_old_gets_a_sentence(monkeypatch):
    monkeypatch.setattr(development, "PYTHON_MIN", (3, 99))
    with pytest.raises(development.SetupError, match=r"make PYTHON="):
        development.check_python()


def test_a_film_that_cannot_be_downloaded_stops_with_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "tools").mkdir()
    lock = tmp_path / "tools" / "film.txt"
    lock.write_text(make_demo.FILM_LOCK.read_text())
    monkeypatch.setattr(make_demo, "ROOT", tmp_path)
    monkeypatch.setattr(make_demo, "FILM_LOCK", lock)
    monkeypatch.setattr(make_demo, "DOWNLOADS", tmp_path / "build" / "downloads")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(make_demo.DemoError, match="real film clip could not be downloaded"):
        make_demo.fetch_film(Path(sys.executable))
