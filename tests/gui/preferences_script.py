# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window: opens the preferences and installs the engine from a folder."""

import os
import sys
import time
from functools import partial
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import steps
from steps import FOLDER, fact, part, picture, xdotool

state = {"drawing": 0.0}


def prepare() -> None:
    """Stand-in packages instead of torch; they cannot edit, so the test edit is one too."""
    preferences = part("preferences")
    preferences.LOCKS = FOLDER / "locks"
    chosen = preferences.get_preferences()
    chosen.environment_folder = str(FOLDER / "engine")
    chosen.output_folder = str(FOLDER / "results")
    build = part("engine.environment_build")
    build.create = partial(build.create, self_test=slow_test)


def slow_test(_python, on_line, _cancel) -> str:
    time.sleep(6)  # so that there is time for a picture
    on_line("The engine works: a tiny edit took 2.0 s on cpu (torch 2.13.0+cpu).")
    return "The engine works."


def show() -> None:
    bpy.ops.preferences.addon_show(module=steps.MODULE)


def enlarge() -> None:
    xdotool(
        "search", "--name", "Preferences", "windowmove", "150", "0", "windowsize", "1100", "880"
    )


def scroll_down() -> None:
    xdotool("mousemove", "900", "500", "sleep", "0.3", "click", "--repeat", "25", "5")


def scroll_up() -> None:
    xdotool("mousemove", "900", "500", "sleep", "0.3", "click", "--repeat", "40", "4")


def preferences_window():
    windows = bpy.context.window_manager.windows
    return next(w for w in windows if w.screen.areas[0].type == "PREFERENCES")


def ask() -> None:
    """The dialog that comes before a download."""
    bpy.context.preferences.system.use_online_access = True
    with bpy.context.temp_override(window=preferences_window()):
        bpy.ops.delta_strip.install_engine("INVOKE_DEFAULT")


def refuse() -> None:
    xdotool("key", "Escape")
    bpy.context.preferences.system.use_online_access = False


def install() -> None:
    steps.watch("setup")
    began = time.thread_time()
    bpy.ops.delta_strip.install_engine_folder(directory=os.fspath(FOLDER / "wheels"))
    fact(start=round(time.thread_time() - began, 4))
    measure_drawing()


def measure_drawing() -> None:
    """Add up what our part of the preferences takes of the main thread, at most per drawing."""
    sections = part("preferences").sections
    for name, draw in list(sections.items()):

        def timed(layout, draw=draw) -> None:
            began = time.thread_time()
            draw(layout)
            state["drawing"] = max(state["drawing"], time.thread_time() - began)

        sections[name] = timed


def wait_for_test() -> bool:
    setup = part("operators.setup_task").setup
    return setup.is_running and not setup.line.startswith("Testing")


def wait_for_end() -> bool:
    return part("operators.setup_task").setup.is_running


def finish() -> None:
    steps.watch("")
    setup = part("operators.setup_task").setup
    python = part("preferences").engine_python()
    fact(
        problem=setup.problem,
        outcome=setup.outcome,
        is_inside=python.is_relative_to(FOLDER / "engine"),
        drawing=round(state["drawing"], 4),
        gaps=steps.gaps,
    )


def copy() -> None:
    with bpy.context.temp_override(window=preferences_window()):
        bpy.ops.delta_strip.copy_diagnostics()
    fact(copied=bpy.context.window_manager.clipboard.splitlines()[0])


steps.run(
    [
        (steps.install_extension, 1.0),
        (prepare, 0.5),
        (show, 3.0),
        (enlarge, 4.0),
        (lambda: picture("preferences.png"), 0.5),
        (scroll_down, 3.0),
        (lambda: picture("preferences_below.png"), 0.5),
        (scroll_up, 2.0),
        (ask, 3.0),
        (lambda: picture("preferences_ask.png"), 0.5),
        (refuse, 2.0),
        (install, 1.0),
        (wait_for_test, 0.5),
        (lambda: picture("preferences_installing.png"), 0.5),
        (wait_for_end, 2.0),
        (finish, 0.5),
        (lambda: picture("preferences_installed.png"), 0.5),
        (copy, 1.0),
        (bpy.ops.wm.quit_blender, 1.0),
    ]
)
