# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window: installs the zip, presses Edit with the mouse, takes pictures.

Everything is a timer's tick, as a person's actions would be: between two ticks Blender redraws and
handles events. Facts are printed as JSON on lines that begin with FACT.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import bpy

FOLDER = Path(os.environ["DELTA_STRIP_GUI"])
MODULE = "bl_ext.user_default.delta_strip"
COMMAND = [sys.executable if "python" in Path(sys.executable).name else "python3"]
COMMAND += [str(Path.cwd() / "tests/fake_engine.py"), "slow"]

programs: list[subprocess.Popen] = []
state = {"gap": 0.0, "last": time.monotonic(), "is_watched": False}


def fact(**values) -> None:
    print("FACT " + json.dumps(values), flush=True)


def part(name: str):
    return importlib.import_module(f"{MODULE}.{name}")


def heartbeat() -> float:
    """The longest time between two ticks of a 50 ms timer is how long the window was frozen."""
    now = time.monotonic()
    if state["is_watched"]:
        state["gap"] = max(state["gap"], now - state["last"])
    state["last"] = now
    return 0.05


def sequencers():
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "SEQUENCE_EDITOR":
            yield area


def picture(name: str) -> None:
    state["is_watched"] = False
    subprocess.run(["/usr/bin/import", "-window", "root", str(FOLDER / name)], check=True)
    state["last"] = time.monotonic()
    state["is_watched"] = True


def mouse(*arguments: str) -> None:
    # Not waited for: Blender has to take each event before the next one comes.
    programs.append(subprocess.Popen(["/usr/bin/xdotool", *arguments]))


def results() -> list:
    scene = bpy.context.window_manager.windows[0].scene
    return [
        s.strip.name for s in part("operators.strips").walk(scene) if s.strip.get("delta_strip_job")
    ]


def install():
    bpy.ops.extensions.package_install_files(
        filepath=str(FOLDER / "delta_strip.zip"), repo="user_default", enable_on_install=True
    )
    part("preferences").get_preferences().output_folder = str(FOLDER / "jobs")
    client, clean = part("engine.client"), part("engine.child_process").clean_environment
    variables = {"FAKE_ENGINE_STEPS": "60", "FAKE_ENGINE_STEP_SECONDS": "0.15"}
    client.engine_command = lambda *_: (COMMAND, clean(variables))
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "film.blend"))


def fill_timeline():
    scene = bpy.context.window_manager.windows[0].scene
    editor = scene.sequence_editor_create()
    strips = part("operators.strips")
    images = sorted((FOLDER / "frames").glob("*.png"))
    strip = strips.new_image(
        editor, name="ball", paths=[str(p) for p in images], channel=2, start=1
    )
    strip.select = True
    scene.render.resolution_x, scene.render.resolution_y = strips.media_size(strip)
    scene.frame_start, scene.frame_end = 1, len(images)
    scene.frame_set(8)
    scene.delta_strip.source_prompt = "a red ball moving over grass"
    scene.delta_strip.target_prompt = "a blue ball moving over grass"
    bpy.ops.ed.undo_push(message="timeline")
    for area in sequencers():
        area.spaces.active.show_region_ui = True
        area.spaces.active.preview_overlay.show_metadata = False
        area.spaces.active.timeline_overlay.show_strip_source = False


def enlarge_timeline():
    """Drag the border between preview and timeline upwards, so that the whole tab is seen."""
    places = [("mousemove", "640", str(y), "sleep", "0.2") for y in (438, 440, 400, 340, 280, 270)]
    first, second, *rest = places
    moves = [argument for place in rest for argument in place]
    mouse(*first, *second, "mousedown", "1", "sleep", "0.3", *moves, "mouseup", "1")


def open_tab():
    for area in sequencers():
        for region in area.regions:
            if region.type == "UI":
                region.active_panel_category = "Delta Strip"
        if area.spaces.active.view_type in ("SEQUENCER", "SEQUENCER_PREVIEW"):
            region = next(r for r in area.regions if r.type == "WINDOW")
            with bpy.context.temp_override(
                window=bpy.context.window_manager.windows[0], area=area, region=region
            ):
                bpy.ops.sequencer.view_all()
        area.tag_redraw()


def watch_poll():
    """Measure what our own timer takes of the main thread."""
    queue = part("operators.jobs").queue
    step = queue.step

    def timed() -> None:
        began = time.perf_counter()
        step()
        state["poll"] = max(state.get("poll", 0.0), time.perf_counter() - began)

    queue.step = timed


def press_edit():
    """Click where the button is, as before.png shows it."""
    watch_poll()
    x, y = map(int, os.environ["DELTA_STRIP_BUTTON"].split(","))
    state["gap"] = 0.0
    mouse("mousemove", str(x), str(y), "sleep", "0.3", "click", "1")


def check_running():
    (job,) = part("operators.jobs").queue.jobs or [None]
    fact(queued=job is not None, state=getattr(job, "state", ""), factor=getattr(job, "factor", 0))
    picture("running.png")


def wait_for_result():
    state["waits"] = state.get("waits", 0) + 1
    return not results() and state["waits"] < 120


def check_result():
    fact(results=len(results()), gap=round(state["gap"], 3), poll=round(state["poll"], 4))
    picture("done.png")
    area = next(a for a in sequencers() if a.spaces.active.view_type != "PREVIEW")
    x, y = area.x + area.width // 3, 900 - (area.y + area.height // 2)
    mouse("mousemove", str(x), str(y), "sleep", "0.3", "key", "ctrl+z")


def check_undo():
    scene = bpy.context.window_manager.windows[0].scene
    names = [s.strip.name for s in part("operators.strips").walk(scene)]
    fact(after_undo=names)
    picture("undone.png")


STEPS = [
    (install, 1.0),
    (fill_timeline, 1.0),
    (enlarge_timeline, 3.0),
    (open_tab, 1.5),
    (lambda: picture("before.png"), 0.5),
    (press_edit, 4.0),
    (check_running, 0.5),
    (wait_for_result, 1.0),
    (check_result, 1.5),
    (check_undo, 0.5),
    (lambda: [program.wait() for program in programs] and None, 0.1),
    (bpy.ops.wm.quit_blender, 1.0),
]


def tick():
    step, pause = STEPS[0]
    again = step()
    if again is True:
        return 0.5
    STEPS.pop(0)
    return pause


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(heartbeat, persistent=True)
bpy.app.timers.register(tick, first_interval=2.0, persistent=True)
