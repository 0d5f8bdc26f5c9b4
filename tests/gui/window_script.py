# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window: edits a strip with mouse and keys, and takes pictures."""

import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import own_time
import steps
from steps import FOLDER, fact, part, picture, wait

# Places on the screen, as the pictures show them. The button Edit is looked for from here; the
# others are so far from it.
EDIT = (1407, 714)
STOP, VARIATIONS, ADVANCED = (143, 56), (2, 30), (-117, 61)
SIDEBAR, TIMELINE = (1400, 560), (700, 500)
ROW = 11
IDLE_SECONDS = 12.0
PROMPTS = ("a red ball moving over sky", "a yellow ball moving over sky")

# More steps for the job that is cancelled: on a busy machine the click takes its time.
state = {"scenario": "slow", "steps": "200", "began": 0.0, "edit": EDIT}
looks = [EDIT[1] + ROW * number for number in range(-12, 13)]  # from top to bottom
hits: list[int] = []


def sequencers():
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "SEQUENCE_EDITOR":
            yield area


def film():
    return bpy.context.window_manager.windows[0].scene


def jobs() -> list:
    return part("operators.jobs").queue.jobs


def names() -> list[str]:
    return [place.strip.name for place in part("operators.strips").walk(film())]


def results() -> list:
    walk = part("operators.strips").walk(film())
    return [place.strip for place in walk if place.strip.get("delta_strip_job")]


def install() -> None:
    steps.install_extension()
    part("preferences").get_preferences().output_folder = str(FOLDER / "jobs")
    client, clean = part("engine.client"), part("engine.child_process").clean_environment
    fake = str(Path.cwd() / "tests/fake_engine.py")
    variables = {"FAKE_ENGINE_RECORDING": str(FOLDER / "recording")}
    variables["FAKE_ENGINE_STEP_SECONDS"] = "0.15"

    def engine_command(*_arguments) -> tuple[list[str], dict[str, str]]:
        # The steps are among the arguments too: the queue starts another engine when these change.
        command = ["/usr/bin/python3", fake, state["scenario"], state["steps"]]
        return command, clean({**variables, "FAKE_ENGINE_STEPS": state["steps"]})

    client.engine_command = engine_command
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "film.blend"))
    own_time.measure_everything()


def fill_timeline() -> None:
    scene = film()
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
    for area in sequencers():
        area.spaces.active.show_region_ui = True
        area.spaces.active.preview_overlay.show_metadata = False
        area.spaces.active.timeline_overlay.show_strip_source = False


def enlarge_timeline() -> None:
    """Drag the border between preview and timeline upwards, so that the whole tab is seen."""
    places = [("mousemove", "640", str(y), "sleep", "0.2") for y in (438, 440, 400, 340, 280, 270)]
    first, second, *rest = places
    moves = [argument for place in rest for argument in place]
    steps.xdotool(*first, *second, "mousedown", "1", "sleep", "0.3", *moves, "mouseup", "1")


def open_tab() -> None:
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


def look_for_edit() -> bool:
    """Ctrl-C copies what the button under the pointer does; the middle of all that hit is kept."""
    if steps.programs[-1].poll() is None:
        return True  # the key is still to be pressed
    manager = bpy.context.window_manager
    if manager.clipboard.startswith("bpy.ops.delta_strip.edit("):
        hits.append(state["edit"][1])
    elif hits:
        state["edit"] = (EDIT[0], sum(hits) // len(hits))
        return False
    manager.clipboard = ""
    state["edit"] = (EDIT[0], looks.pop(0))
    steps.press(*state["edit"], "ctrl+c")
    return True


def click_from_edit(place: tuple[int, int]) -> None:
    steps.click(state["edit"][0] + place[0], state["edit"][1] + place[1])


def hover() -> None:
    """The tooltip of the button that cannot be pressed yet."""
    x, y = state["edit"]
    for offset in (40, 20, 0):
        steps.xdotool("mousemove", str(x + offset), str(y), "sleep", "0.2")


def write_prompts() -> None:
    fact(reason=part("operators.edit").why_not(film()))
    film().delta_strip.source_prompt, film().delta_strip.target_prompt = PROMPTS
    steps.xdotool("mousemove", *map(str, TIMELINE))  # where no tooltip covers the fields
    part("operators.jobs").redraw()
    state["began"] = time.monotonic()
    steps.watch("idle")


def redraw_idly() -> bool:
    """Redraws as often as a job makes it, to compare with."""
    part("operators.jobs").redraw()
    return time.monotonic() - state["began"] < IDLE_SECONDS


def press_edit() -> None:
    steps.watch("job")
    click_from_edit((0, 0))


def is_editing() -> bool:
    return bool(jobs()) and jobs()[-1].stage == "editing" and jobs()[-1].done >= 5


def note_progress() -> None:
    fact(queued=len(jobs()), state=jobs()[-1].state, before=jobs()[-1].factor)


def press_stop() -> None:
    fact(after=jobs()[-1].factor)
    click_from_edit(STOP)


def check_cancelled() -> None:
    fact(cancelled=[job.state for job in jobs()], strips_after_cancel=names())
    picture("cancelled.png")
    state["steps"] = "40"


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
    steps.xdotool("mousemove", *map(str, TIMELINE))


def has_three_jobs() -> bool:
    return len(jobs()) == 3 and jobs()[0].preview_count > 20


def scroll(notches: int):
    return lambda: steps.scroll(*SIDEBAR, notches)


def check_shown(name: str):
    def check() -> None:
        muted = {strip.name: strip.mute for strip in results()}
        fact(**{name: [strip for strip in names() if not muted.get(strip)]})
        picture(f"{name}.png")

    return check


def fail() -> None:
    state["scenario"] = "out_of_memory"
    click_from_edit((0, 0))


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
    fact(selection=panel.selection_line(film()), time=panel.time_line(film()))
    picture("translated.png")
    bpy.app.translations.unregister("delta_strip_test")


def finish() -> None:
    fact(failed=jobs()[-1].state, results=len(results()))
    fact(listed=len(bpy.context.window_manager.delta_strip_results.lines))
    fact(gaps=steps.gaps, own=own_time.longest)
    for program in steps.programs:
        program.wait()


steps.run(
    [
        (install, 1.0),
        (fill_timeline, 1.0),
        (enlarge_timeline, 3.0),
        (open_tab, 2.0),
        (look_for_edit, 1.0),
        (hover, 3.0),
        (lambda: picture("reason.png"), 0.5),
        (write_prompts, 0.5),
        (redraw_idly, 0.1),
        (lambda: picture("before.png"), 0.5),
        (press_edit, 1.0),
        (wait(is_editing, "the edit makes steps"), 0.1),
        (note_progress, 0.1),
        (lambda: picture("running.png"), 1.0),
        (press_stop, 0.5),
        (wait(lambda: not jobs()[-1].is_open, "the job is cancelled"), 1.0),
        (check_cancelled, 0.5),
        (press_edit, 1.0),
        (wait(results, "the result is in the timeline"), 2.0),
        (check_result, 0.5),
        (lambda: steps.press(*TIMELINE, "ctrl+z"), 2.0),
        (check_undo, 0.5),
        (lambda: steps.press(*TIMELINE, "ctrl+shift+z"), 2.0),
        (check_redo, 0.5),
        (lambda: click_from_edit(ADVANCED), 1.5),
        (scroll(8), 1.5),
        (lambda: picture("advanced.png"), 0.5),
        (scroll(-60), 3.0),
        (lambda: click_from_edit(ADVANCED), 1.5),
        (clear_queue, 2.0),
        (lambda: click_from_edit(VARIATIONS), 1.0),
        (scroll(12), 1.5),
        (wait(has_three_jobs, "the first of three variations is under way"), 0.5),
        (lambda: picture("queue.png"), 0.5),
        (wait(lambda: not any(job.is_open for job in jobs()), "all have ended"), 2.0),
        (scroll(60), 4.0),
        (lambda: picture("results.png"), 0.5),
        (lambda: steps.press(*TIMELINE, "v"), 2.0),
        (check_shown("compare_source"), 0.5),
        (lambda: steps.press(*TIMELINE, "v"), 2.0),
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
