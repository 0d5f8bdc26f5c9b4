# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: runs the linters and the tests, each in the environment it needs.

    python3 -m tools.run_tests lint        # ruff and pyright
    python3 -m tools.run_tests test        # lint, unit, engine, GPU where there is one, one Blender
    python3 -m tools.run_tests test-all    # every supported Blender, and a window
    python3 -m tools.run_tests total       # the sum of all that was recorded

What ran is recorded in build/tests/, one file per suite, so that test-all does not repeat the
Blender that `test` ran on the same files. What cannot run here is "not run", with its reason; it
counts as skipped, never as passed. The exit status is 0 when nothing failed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Literal
from xml.etree import ElementTree  # our own pytest's report

from engine.child_process import clean_environment, stop_process
from engine.graphics import has_nvidia_driver
from tools.blender_runtime import (
    PYTHON_OF_SERIES,
    NotAvailableError,
    Runtime,
    ensure_wheel,
    preferred_series,
)
from tools.development import ROOT, SetupError, ensure_developer_tools
from tools.outcomes import RECORDS, Outcome, not_run, print_table, recorded

GUI_CHROOT = ROOT / "build" / "gui-chroot"
LINTERS = {
    "ruff check": ["-m", "ruff", "check"],
    "ruff format": ["-m", "ruff", "format", "--check"],
    "pyright": ["-m", "pyright"],
}
SECONDS = {"lint": 300.0, "engine": 1500.0, "blender": 1500.0, "window": 900.0}
SIDE_BY_SIDE = max(1, min(4, os.cpu_count() or 1))
"""Processes at a time: each may take 2 GB, and a window or an engine of its own."""


def fingerprint() -> str:
    """Identifies the contents of every file that git knows or would add; empty without git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    digest = hashlib.sha256()
    for name in sorted(set(listing.decode().split("\0"))):
        if (ROOT / name).is_file():
            digest.update(name.encode() + b"\0")
            digest.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return digest.hexdigest()


def run(
    command: list[str], variables: dict[str, str], seconds: float, log: IO[str] | None = None
) -> tuple[int, float]:
    """Exit status (124: took too long) and duration.

    Args:
        command: Program and arguments.
        variables: Complete environment.
        seconds: Most that it may take.
        log: Where its output goes; None: straight to the screen.
    """
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=sys.platform != "win32",  # so that what a test started ends with it
        text=True,
    )
    try:
        status = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        print(f"stopped after {seconds:g} seconds", file=log, flush=True)
        status = 124
    finally:
        stop_process(process)
    return status, time.monotonic() - start


def run_linter(name: str, python: Path) -> Outcome:
    """One linter; counts as one test."""
    print(f"\n== {name}", flush=True)
    command = [str(python), *LINTERS[name]]
    status, seconds = run(command, clean_environment(), SECONDS["lint"])
    reason = f"exit status {status}" if status else ""
    kind: Literal["passed", "failed"] = "failed" if status else "passed"
    return Outcome(name, kind, int(not status), int(bool(status)), 0, seconds, reason)


def run_pytest(
    name: str,
    python: Path,
    arguments: list[str],
    *,
    limit: float,
    variables: dict[str, str] | None = None,
    log: IO[str] | None = None,
) -> Outcome:
    """One pytest run, counted from its own report.

    Args:
        name: Of the suite.
        python: Interpreter that has pytest.
        arguments: Folders and options.
        limit: Seconds it may take.
        variables: Complete environment; None for this one without what would leak.
        log: Where its output goes; None: straight to the screen.
    """
    print(f"\n== {name}", file=log, flush=True)
    RECORDS.mkdir(parents=True, exist_ok=True)
    report = RECORDS / f"{name.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    command = [str(python), "-B", "-m", "pytest", *arguments, f"--junitxml={report}"]
    tree = fingerprint()
    status, seconds = run(command, variables or clean_environment(), limit, log)
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    if report.is_file():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - ours
            for key in counts:
                counts[key] += int(suite.get(key, 0))
    failed = counts["failures"] + counts["errors"]
    reason = ""
    if status and not failed:  # a crash, no tests at all, or too slow
        reason, failed = f"pytest ended with status {status}", 1
    elif failed:
        reason = f"see {report.relative_to(ROOT)}"
    passed = max(0, counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"])
    kind: Literal["passed", "failed"] = "failed" if failed else "passed"
    return Outcome(name, kind, passed, failed, counts["skipped"], seconds, reason, tree)


def run_blenders(several: list[str], engine: Path) -> list[Outcome]:
    """tests/blender on the `bpy` wheels of several series, some side by side.

    They are found or installed one after the other; what each run printed comes as a whole.
    """
    outcomes: list[Outcome] = []
    found: dict[str, Runtime] = {}
    for series in several:
        print(f"\n== blender {series}: finding or installing it", flush=True)
        try:
            found[series] = ensure_wheel(series)
        except NotAvailableError as error:
            outcomes.append(not_run(f"blender {series}", str(error)))

    def run_one(series: str) -> tuple[Outcome, Path]:
        runtime = found[series]
        path = RECORDS / f"blender-{series}.log"
        with path.open("w", encoding="utf-8") as log:
            outcome = run_pytest(
                f"blender {series}",
                Path(runtime.command[0]),
                ["tests/blender"],
                limit=SECONDS["blender"],
                variables=runtime.env() | {"DELTA_STRIP_PYTHON": str(engine)},
                log=log,
            )
        return outcome, path

    RECORDS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for outcome, path in pool.map(run_one, found):
            print(path.read_text(encoding="utf-8", errors="replace"), flush=True)
            outcomes.append(outcome)
    return outcomes


def run_gpu(python: Path) -> Outcome:
    """tests/gpu where there is a CUDA device."""
    if not has_nvidia_driver():
        return not_run("gpu", "this machine has no NVIDIA driver, so no CUDA device")
    return run_pytest("gpu", python, ["tests/gpu", "-m", "gpu"], limit=SECONDS["engine"])


def run_window(python: Path) -> Outcome:
    """tests/gui: a real window on a virtual screen, in a chroot made here when that is allowed."""
    if not (GUI_CHROOT / ".complete").exists() and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("\n== window: making the chroot with Blender and a virtual screen (2 GB)", flush=True)
        command = ["bash", str(ROOT / "tools" / "gui" / "make_chroot.sh"), str(GUI_CHROOT)]
        RECORDS.mkdir(parents=True, exist_ok=True)
        log = RECORDS / "gui-chroot.log"
        with log.open("wb") as stream:
            made = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False
            )
        if made.returncode:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            return not_run("window", f"the chroot could not be made: {' '.join(last)}")
    return run_pytest("window", python, ["tests/gui"], limit=SECONDS["window"])


def lint(python: Path) -> list[Outcome]:
    """All linters, also after one failed."""
    return [run_linter(name, python) for name in LINTERS]


def test(python: Path) -> list[Outcome]:
    """What a developer runs before a commit."""
    outcomes = lint(python)
    # One file's tests stay together: they share models and clips.
    folders = ["tests/unit", "tests/engine", "-m", "not gpu"]
    folders += ["-n", str(SIDE_BY_SIDE), "--dist", "loadfile"]
    outcomes.append(run_pytest("unit and engine", python, folders, limit=SECONDS["engine"]))
    outcomes.append(run_gpu(python))
    try:
        series = preferred_series()
    except NotAvailableError as error:
        outcomes.append(not_run("blender", str(error)))
    else:
        outcomes += run_blenders([series], python)
    return outcomes


def test_all(python: Path) -> list[Outcome]:
    """Every Blender and the window, less what `test` has just shown on the very same files."""
    outcomes, wanted = [], []
    tree = fingerprint()
    known = {outcome.name: outcome for outcome in recorded() if tree and outcome.files == tree}
    for series in PYTHON_OF_SERIES:
        done = known.get(f"blender {series}")
        if done and done.status == "passed":
            print(f"\n== {done.name}: passed in `make test` on the same files", flush=True)
            outcomes.append(done)
        else:
            wanted.append(series)
    # The window alone: it measures how smoothly it runs.
    return [*outcomes, *run_blenders(wanted, python), run_window(python)]


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run linters and tests.")
    parser.add_argument("what", choices=("lint", "test", "test-all", "total"))
    what = parser.parse_args(arguments).what
    if what == "total":
        return 0 if print_table(recorded()) else 1
    try:
        python = ensure_developer_tools(lambda line: print(line, flush=True))
    except SetupError as error:
        Outcome("environment", "failed", failed=1, reason="see above").record()
        print(f"error: {error}", file=sys.stderr)
        return 1
    outcomes = {"lint": lint, "test": test, "test-all": test_all}[what](python)
    for outcome in outcomes:
        outcome.record()
    return 0 if print_table(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
