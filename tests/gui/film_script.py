# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window: three strips behind a mask are edited while the film is cut on.

At its end it dies in the middle of a job, as a crash would have it; recovery_script.py goes on.
"""

import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import steps
import tab
from steps import FOLDER, act, fact, part, picture, wait
from tab import jobs, names, results, scroll

PROMPTS = ("a red ball moving over sky", "a yellow ball moving over sky")
OWN = "a golden sphere moving over the sky"
LENGTH = 16
METHODS = ("dreammotion", "assd")

edit = tab.Button("edit", 1407, 505, 880)
reuse = tab.Button("reuse_settings", 1300, 765, 890)
test_frames = tab.Button("test_frames", 1300, 505, 890)
# Slow enough to cut on meanwhile; the crash comes in a job that is slower still.
engine = {"scenario": "slow", "steps": "50", "seconds": "0.15"}


def fill_timeline() -> None:
    """One, two, three: the ball's clip in three pieces. Below them the mask, a picture a frame."""
    scene, strips = tab.scene(), part("operators.strips")
    editor = scene.sequence_editor_create()
    for folder, name, channel in (("mask", "mask", 1), ("clip", "", 2)):
        images = [str(path) for path in sorted((FOLDER / folder).glob("*.png"))]
        pieces = [images] if name else [images[i : i + LENGTH] for i in (0, 16, 32)]
        for number, paths in enumerate(pieces):
            strip = strips.new_image(
                editor,
                name=name or ("one", "two", "three")[number],
                paths=paths,
                channel=channel,
                start=1 + LENGTH * number,
            )
            strip.mute = bool(name)
            strip.select = not name
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    scene.frame_start, scene.frame_end = 1, 3 * LENGTH
    scene.frame_set(8)
    activate("two")
    for area in tab.sequencers():
        tab.show(area)


def strip_called(name: str):
    return part("operators.strips").find_named(tab.scene(), name).strip


def activate(name: str) -> None:
    editor = tab.scene().sequence_editor
    editor.active_strip = strip_called(name)


def select(*chosen: str) -> None:
    for place in part("operators.strips").walk(tab.scene()):
        place.strip.select = place.strip.name in chosen
    activate(chosen[0])
    part("operators.jobs").redraw()


def write_prompts() -> None:
    settings = tab.scene().delta_strip
    settings.source_prompt, settings.target_prompt = PROMPTS
    own = strip_called("two").delta_strip
    own.use_own_prompts = True
    own.target_prompt = OWN
    settings.mask_strip = "mask"
    bpy.ops.ed.undo_push(message="timeline")
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "film.blend"))
    tab.point_at_timeline()
    part("operators.jobs").redraw()


def check_selected() -> None:
    panel = part("panels.edit_panel")
    fact(
        selection=panel.selection_line(tab.scene()),
        why_not=part("operators.edit").why_not(tab.scene()),
    )
    picture("film_selected.png")


def is_under_way() -> bool:
    return len(jobs()) == 3 and jobs()[0].done >= 3


def cut_on() -> None:
    """What an editor does meanwhile: moves and renames sources, adds a strip."""
    fact(
        prompts=[job.job.target_prompt for job in jobs()], masks=[bool(j.job.mask) for j in jobs()]
    )
    strip_called("three").frame_start += 10
    strip_called("one").name = "opening"
    bpy.ops.ed.undo_push(message="cut")
    bpy.ops.sequencer.select_all(action="DESELECT")
    part("operators.strips").new_image(
        tab.scene().sequence_editor,
        name="title",
        paths=[str(next(iter(sorted((FOLDER / "clip").glob("*.png")))))],
        channel=6,
        start=1,
    )
    bpy.ops.ed.undo_push(message="title")


def is_titled() -> bool:
    """Whether the strip is there that was added last; results come in meanwhile."""
    return "title" in names()


def check_cut() -> None:
    fact(cut=names())
    picture("film_running.png")


def check_deleted() -> None:
    fact(deleted=names())


def check_undone() -> None:
    fact(undone=names(), still_running=any(job.is_open for job in jobs()))
    select("two", "opening", "three")


def are_done() -> bool:
    return len(jobs()) == 3 and not any(job.is_open for job in jobs())


def check_results() -> None:
    strips = part("operators.strips")
    sources = {strip.get("delta_strip_source_name"): strip for strip in results()}
    fact(
        states=[job.state for job in jobs()],
        places={name: [strips.left(s), strips.right(s)] for name, s in sources.items()},
        sources={
            name: [strips.left(strip_called(name)), strips.right(strip_called(name))]
            for name in ("opening", "two", "three")
        },
    )
    picture("film_results.png")


def prepare_test() -> None:
    bpy.ops.delta_strip.clear_queue()
    select("opening")
    engine["steps"] = "10"
    tab.point_at_timeline()


def check_test() -> None:
    (job,) = jobs()
    fact(test_frames=job.job.frame_count, test_state=job.state)
    picture("film_test_frames.png")


def choose(method: str):
    def step() -> None:
        bpy.ops.delta_strip.clear_queue()
        select("opening")
        tab.scene().delta_strip.method = method
        tab.point_at_timeline()
        part("operators.jobs").redraw()

    return step


def open_advanced() -> None:
    edit.click(-117, 61)


def show_made_from() -> None:
    """The facts of an active result strip, at the end of the tab."""
    two = next(s for s in results() if s.get("delta_strip_source_name") == "two")
    select(two.name)


def write_something_else() -> None:
    settings = tab.scene().delta_strip
    settings.source_prompt = settings.target_prompt = "something else"


def prompts() -> str:
    return tab.scene().delta_strip.target_prompt


def check_reused() -> None:
    settings = tab.scene().delta_strip
    fact(reused=settings.target_prompt, method=settings.method, mask=settings.mask_strip)


def show_in_preview() -> None:
    for area in tab.sequencers():
        is_preview = area.spaces.active.view_type == "PREVIEW"
        area.spaces.active.show_region_ui = is_preview
    tab.open_tab()


def begin_last_job() -> None:
    bpy.ops.delta_strip.clear_queue()
    select("three")
    engine["steps"] = "200"
    bpy.ops.delta_strip.edit("INVOKE_DEFAULT")


def is_halfway() -> bool:
    return bool(jobs()) and jobs()[-1].done >= 5


def crash() -> None:
    """No goodbye to anyone: no handler, no `atexit`, and the engine loses its parent."""
    fact(left=str(jobs()[-1].folder))
    bpy.ops.wm.save_mainfile()
    os._exit(0)


advanced = [
    step
    for method in METHODS
    for step in (
        (choose(method), 1.5),
        (scroll(-80), 3.0),
        (scroll(17), 2.0),  # to the method's own fields
        (lambda method=method: picture(f"film_{method}.png"), 0.5),
    )
]

steps.run(
    [
        (lambda: tab.install(engine), 1.0),
        (fill_timeline, 1.0),
        (tab.enlarge_timeline, 3.0),
        (tab.open_tab, 2.0),
        (write_prompts, 2.0),
        (check_selected, 0.5),
        (edit.look, 1.0),
        (edit.click, 1.0),
        (wait(is_under_way, "the first of three jobs is under way"), 0.5),
        (cut_on, 1.5),
        (check_cut, 0.5),
        (act(lambda: steps.press(*tab.TIMELINE, "Delete"), is_titled, "a strip is deleted"), 0.5),
        (check_deleted, 0.1),
        (act(lambda: steps.press(*tab.TIMELINE, "ctrl+z"), is_titled, "it is back"), 0.5),
        (check_undone, 0.5),
        (wait(are_done, "three results are in the timeline"), 2.0),
        (check_results, 0.5),
        (prepare_test, 2.0),
        (test_frames.look, 1.0),
        (test_frames.click, 1.0),
        (wait(lambda: jobs() and not jobs()[-1].is_open, "the test is done"), 2.0),
        (check_test, 0.5),
        (choose("dds"), 2.0),
        (edit.begin, 0.5),
        (edit.look, 1.0),
        (open_advanced, 1.5),
        *advanced,
        (show_made_from, 1.5),
        (scroll(60), 3.0),
        (lambda: picture("film_made_from.png"), 0.5),
        (write_something_else, 0.5),
        (reuse.look, 1.0),
        (act(reuse.click, prompts, "the settings are back", again=10.0), 0.5),
        (check_reused, 0.5),
        (scroll(-80), 3.0),
        (lambda: picture("film_reused.png"), 0.5),
        (show_in_preview, 2.0),
        (tab.enlarge_preview, 3.5),
        (lambda: picture("film_preview.png"), 0.5),
        (tab.shrink_preview, 3.5),
        (begin_last_job, 1.0),
        (wait(is_halfway, "the last job is under way"), 0.5),
        (crash, 1.0),
    ]
)
