# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window: edits a strip with mouse and keys, and takes pictures."""

import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import own_time
import steps
import tab
from steps import FOLDER, act, fact, part, picture, wait
from tab import TIMELINE, jobs, names, results, scroll

# Where the other buttons are from Edit, as the pictures show them.
STOP, VARIATIONS, ADVANCED = (143, 56), (2, 30), (-117, 61)
IDLE_SECONDS = 12.0
PROMPTS = ("a red ball moving over sky", "a yellow ball moving over sky")

edit = tab.Button("edit", 1407, 582, 857)
# More steps for the job that is cancelled: on a busy machine the click takes its time.
engine = {"scenario": "slow", "steps": "200", "seconds": "0.15"}
state = {"began": 0.0}


def install() -> None:
    tab.install(engine)
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "film.blend"))
    own_time.measure_everything()


def fill_timeline() -> None:
    scene = tab.scene()
    strips = part("operators.strips")
    images = sorted((FOLDER / "clip").glob("*.png"))
    strip = strips.new_image(
        scene.sequence_editor_create(),
        name="ball",
        paths=[str(path) for path in images],
        channel=2,
        start=1,
    )
    strip.select = True
    scene.render.resolution_x, scene.render.resolution_y = strips.media_size(strip)
    scene.frame_start, scene.frame_end = 1, len(images)
    scene.frame_set(8)
    bpy.ops.ed.undo_push(message="timeline")
    for area in tab.sequencers():
        tab.show(area)


def hover() -> None:
    """The tooltip of the button that cannot be pressed yet."""
    for offset in (40, 20, 0):
        steps.xdotool("mousemove", str(1407 + offset), str(edit.y), "sleep", "0.2")


def write_prompts() -> None:
    fact(reason=part("operators.edit").why_not(tab.scene()))
    tab.scene().delta_strip.source_prompt, tab.scene().delta_strip.target_prompt = PROMPTS
    tab.point_at_timeline()
    part("operators.jobs").redraw()
    state["began"] = time.monotonic()
    steps.watch("idle")


def redraw_idly() -> bool:
    """Redraws as often as a job makes it, to compare with."""
    part("operators.jobs").redraw()
    return time.monotonic() - state["began"] < IDLE_SECONDS


def press_edit() -> None:
    steps.watch("job")
    edit.click()


def is_editing() -> bool:
    return bool(jobs()) and jobs()[-1].stage == "editing" and jobs()[-1].done >= 5


def note_progress() -> None:
    fact(queued=len(jobs()), state=jobs()[-1].state, before=jobs()[-1].factor)


def note_more_progress() -> None:
    fact(after=jobs()[-1].factor)


def is_stopped() -> bool:
    return jobs()[-1].is_cancelling or not jobs()[-1].is_open


def shown() -> list[bool]:
    return [strip.mute for strip in results()]


def check_cancelled() -> None:
    fact(cancelled=[job.state for job in jobs()], strips_after_cancel=names())
    picture("cancelled.png")
    engine["steps"] = "40"


def check_result() -> None:
    steps.watch("")
    fact(states=[job.state for job in jobs()], strips_after_edit=names())
    picture("done.png")


def check_undo() -> None:
    fact(strips_after_undo=names())
    picture("undone.png")


def check_redo() -> None:
    fact(strips_after_redo=names())


def clear_queue() -> None:
    """Long before a click: a button that is being drawn anew takes none."""
    bpy.ops.delta_strip.clear_queue()
    tab.point_at_timeline()


def has_three_jobs() -> bool:
    return len(jobs()) == 3 and jobs()[0].preview_count > 20


def check_shown(name: str):
    def check() -> None:
        muted = {strip.name: strip.mute for strip in results()}
        fact(**{name: [strip for strip in names() if not muted.get(strip)]})
        picture(f"{name}.png")

    return check


def fail() -> None:
    engine["scenario"] = "out_of_memory"
    edit.click()


def translate() -> None:
    """A few German words for texts that have values in them."""
    words = {
        "1 strip": "1 Streifen",
        "{count} frames": "{count} Bilder",
        "Takes about {time}": "Dauert etwa {time}",
        "{count} s": "{count} Sek.",
        "Edit Strip": "Streifen bearbeiten",
    }
    texts = {("*", text): german for text, german in words.items()}
    bpy.app.translations.register("delta_strip_test", {"de_DE": texts})
    bpy.context.preferences.view.language = "de_DE"


def check_translated() -> None:
    panel = part("panels.edit_panel")
    fact(selection=panel.selection_line(tab.scene()), time=panel.time_line(tab.scene()))
    picture("translated.png")
    bpy.app.translations.unregister("delta_strip_test")


def finish() -> None:
    fact(failed=jobs()[-1].state, results=len(results()))
    fact(listed=len(bpy.context.window_manager.delta_strip_results.lines))
    fact(gaps=steps.gaps, own=own_time.longest)
    tab.wait_for_programs()


steps.run(
    [
        (install, 1.0),
        (fill_timeline, 1.0),
        (tab.enlarge_timeline, 3.0),
        (tab.open_tab, 2.0),
        (edit.look, 1.0),
        (hover, 3.0),
        (lambda: picture("reason.png"), 0.5),
        (write_prompts, 0.5),
        (redraw_idly, 0.1),
        (lambda: picture("before.png"), 0.5),
        (press_edit, 1.0),
        (wait(is_editing, "the edit makes steps"), 0.1),
        (note_progress, 0.1),
        (lambda: picture("running.png"), 1.0),
        (note_more_progress, 0.1),
        (act(lambda: edit.click(*STOP), is_stopped, "the cross is clicked", again=10.0), 0.5),
        (wait(lambda: not jobs()[-1].is_open, "the job is cancelled"), 1.0),
        (check_cancelled, 0.5),
        (press_edit, 1.0),
        (wait(results, "the result is in the timeline"), 2.0),
        (check_result, 0.5),
        (act(lambda: steps.press(*TIMELINE, "ctrl+z"), names, "the result is undone"), 1.0),
        (check_undo, 0.5),
        (act(lambda: steps.press(*TIMELINE, "ctrl+shift+z"), names, "it is redone"), 1.0),
        (check_redo, 0.5),
        (lambda: edit.click(*ADVANCED), 1.5),
        (scroll(8), 1.5),
        (lambda: picture("advanced.png"), 0.5),
        (scroll(-60), 3.0),
        (lambda: edit.click(*ADVANCED), 1.5),
        (clear_queue, 2.0),
        (lambda: edit.click(*VARIATIONS), 1.0),
        (scroll(12), 1.5),
        (wait(has_three_jobs, "the first of three variations is under way"), 0.5),
        (lambda: picture("queue.png"), 0.5),
        (wait(lambda: not any(job.is_open for job in jobs()), "all have ended"), 2.0),
        (scroll(60), 4.0),
        (lambda: picture("results.png"), 0.5),
        (act(lambda: steps.press(*TIMELINE, "v"), shown, "the source is shown"), 1.0),
        (check_shown("compare_source"), 0.5),
        (act(lambda: steps.press(*TIMELINE, "v"), shown, "the results are shown"), 1.0),
        (check_shown("compare_result"), 0.5),
        (scroll(-60), 3.0),
        (clear_queue, 2.0),
        (fail, 2.0),
        (wait(lambda: jobs() and not jobs()[-1].is_open, "the job has failed"), 1.0),
        (scroll(12), 2.0),
        (lambda: picture("failed.png"), 0.5),
        (scroll(-60), 2.0),
        (translate, 2.0),
        (check_translated, 0.5),
        (finish, 0.5),
        (bpy.ops.wm.quit_blender, 1.0),
    ]
)
