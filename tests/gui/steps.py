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
import traceback
from collections.abc import Callable
from pathlib import Path

import bpy

FOLDER = Path(os.environ["DELTA_STRIP_GUI"])
MODULE = "bl_ext.user_default.delta_strip"
_PATIENCE = 120.0  # seconds, of a busy machine
_SCHEDULER = Path("/proc/thread-self/schedstat")

programs: list[subprocess.Popen] = []
gaps: dict[str, dict[str, float]] = {}
"""By what was going on: longest time between two ticks of a 50 ms timer, and how many there were.

`served` leaves out the time in which the machine gave the window's thread no processor.
"""
_watched = ""
_last = (0.0, 0.0)


def fact(**values) -> None:
    print("FACT " + json.dumps(values), flush=True)


def part(name: str):
    return importlib.import_module(f"{MODULE}.{name}")


def install_extension() -> None:
    bpy.ops.extensions.package_install_files(
        filepath=str(FOLDER / "delta_strip.zip"), repo="user_default", enable_on_install=True
    )


def picture(name: str) -> None:
    was_watched = _watched
    watch("")
    subprocess.run(["/usr/bin/import", "-window", "root", str(FOLDER / name)], check=True)
    watch(was_watched)


def xdotool(*arguments: str) -> None:
    # Not waited for: Blender has to take each event before the next one comes. No gap of Blender's
    # either: on a busy machine it takes a second until a new process has begun.
    was_watched = _watched
    watch("")
    programs.append(subprocess.Popen(["/usr/bin/xdotool", *arguments]))
    watch(was_watched)


def click(x: int, y: int) -> None:
    xdotool("mousemove", str(x), str(y), "sleep", "0.3", "click", "1")


def press(x: int, y: int, key: str) -> None:
    """Press a key with the pointer at a place."""
    xdotool("mousemove", str(x), str(y), "sleep", "0.3", "key", key)


def scroll(x: int, y: int, notches: int) -> None:
    """Turn the wheel, down for a positive number."""
    button = "5" if notches > 0 else "4"
    turn = ("click", "--repeat", str(abs(notches)), "--delay", "30", button)
    xdotool("mousemove", str(x), str(y), "sleep", "0.3", *turn)


def wait(condition: Callable[[], object], what: str) -> Callable[[], bool]:
    """A step that is done again until something is so."""
    began: list[float] = []

    def step() -> bool:
        began.append(time.monotonic())
        if condition():
            return False
        assert began[-1] - began[0] < _PATIENCE, f"waited in vain until {what}"
        return True

    return step


def act(
    action: Callable[[], object], look: Callable[[], object], what: str, *, again: float = 0.0
) -> Callable[[], bool]:
    """A step that does something once and waits until what `look` gives has changed.

    Args:
        action: Keys or a click; a busy machine takes seconds until Blender sees them.
        look: What they change.
        what: The change, in words.
        again: Seconds after which it is done once more, where that does no harm: a button that is
            being drawn anew takes no click.
    """
    before: list[object] = []
    begun: list[float] = []

    def step() -> bool:
        now = time.monotonic()
        if not begun:
            before.append(look())
        elif look() != before[0]:
            return False
        if not begun or (again and now - begun[-1] > again):
            begun.append(now)
            action()
        assert now - begun[0] < _PATIENCE, f"waited in vain until {what}"
        return True

    return step


def watch(name: str) -> None:
    """Begin to measure the time between two ticks under this name; end with an empty one."""
    global _watched, _last
    _watched, _last = name, (time.monotonic(), unserved())


def unserved() -> float:
    """Seconds for which this thread could have run and was not let to; 0 where nobody counts."""
    try:
        return int(_SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _heartbeat() -> float:
    global _last
    now = (time.monotonic(), unserved())
    if _watched:
        found = gaps.setdefault(_watched, {"longest": 0.0, "served": 0.0, "ticks": 0})
        gap = now[0] - _last[0]
        found["longest"] = max(found["longest"], round(gap, 3))
        found["served"] = max(found["served"], round(gap - (now[1] - _last[1]), 3))
        found["ticks"] += 1
    _last = now
    return 0.05


def run(steps: list[tuple[Callable[[], object], float]]) -> None:
    """Do the steps, each followed by its pause in seconds; one that returns True is done again."""

    def tick() -> float | None:
        step, pause = steps[0]
        try:
            if step() is True:
                return 0.5
        except Exception:  # noqa: BLE001 - Blender would drop the timer and stay open
            traceback.print_exc()
            picture("error.png")
            os._exit(1)
        steps.pop(0)
        return pause if steps else None

    bpy.context.preferences.view.show_splash = False
    bpy.app.timers.register(_heartbeat, persistent=True)
    bpy.app.timers.register(tick, first_interval=2.0, persistent=True)
