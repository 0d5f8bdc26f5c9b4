# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a Blender window: a person's actions as steps, each a timer's tick.

Between two ticks Blender redraws and handles events. Facts are printed as JSON on lines that begin
with FACT.
"""

import importlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import bpy

FOLDER = Path(os.environ["DELTA_STRIP_GUI"])
MODULE = "bl_ext.user_default.delta_strip"

gap = {"longest": 0.0, "last": 0.0, "is_watched": False}
programs: list[subprocess.Popen] = []


def fact(**values) -> None:
    print("FACT " + json.dumps(values), flush=True)


def part(name: str):
    return importlib.import_module(f"{MODULE}.{name}")


def install_extension() -> None:
    bpy.ops.extensions.package_install_files(
        filepath=str(FOLDER / "delta_strip.zip"), repo="user_default", enable_on_install=True
    )


def picture(name: str) -> None:
    was_watched, gap["is_watched"] = gap["is_watched"], False
    subprocess.run(["/usr/bin/import", "-window", "root", str(FOLDER / name)], check=True)
    gap["last"], gap["is_watched"] = time.monotonic(), was_watched


def xdotool(*arguments: str) -> None:
    # Not waited for: Blender has to take each event before the next one comes.
    programs.append(subprocess.Popen(["/usr/bin/xdotool", *arguments]))


def watch(is_watched: bool) -> None:
    """Begin or end to look for the longest time between two ticks of a 50 ms timer."""
    gap["last"], gap["is_watched"] = time.monotonic(), is_watched


def _heartbeat() -> float:
    now = time.monotonic()
    if gap["is_watched"]:
        gap["longest"] = max(gap["longest"], now - gap["last"])
    gap["last"] = now
    return 0.05


def run(steps: list[tuple[Callable[[], object], float]]) -> None:
    """Do the steps, each followed by its pause in seconds; one that returns True is done again."""

    def tick() -> float | None:
        step, pause = steps[0]
        if step() is True:
            return 0.5
        steps.pop(0)
        return pause if steps else None

    bpy.context.preferences.view.show_splash = False
    bpy.app.timers.register(_heartbeat, persistent=True)
    bpy.app.timers.register(tick, first_interval=2.0, persistent=True)
