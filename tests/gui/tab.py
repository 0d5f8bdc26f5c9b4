# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a Blender window: our tab beside a timeline, its buttons, and the stand-in engine."""

import subprocess
from pathlib import Path

import bpy
import steps
from steps import FOLDER, part

SIDEBAR, TIMELINE = (1400, 560), (700, 500)
"""Places on the screen that are always of the tab, and of the timeline."""
ROW = 11
"""px: half of a button's height."""


class Button:
    """Looks for an operator's button along a column of the screen.

    Args:
        operator: Its name after `delta_strip.`.
        x: Of the column, px.
        top: Where to begin, px.
        bottom: Where to give up, px.
    """

    def __init__(self, operator: str, x: int, top: int, bottom: int) -> None:
        self._call = f"bpy.ops.delta_strip.{operator}("
        self._x, self._range = x, (top, bottom)
        self.y = 0
        self.begin()

    def begin(self) -> None:
        """Forget where it was."""
        self._hits: list[int] = []
        self._looks = list(range(*self._range, ROW))

    def look(self) -> bool:
        """A step: Ctrl-C copies what the button under the pointer does; the middle is kept."""
        if steps.programs and steps.programs[-1].poll() is None:
            return True  # the key is still to be pressed
        manager = bpy.context.window_manager
        if self._hits or manager.clipboard.startswith(self._call):
            if manager.clipboard.startswith(self._call):
                self._hits.append(self.y)
            else:
                self.y = sum(self._hits) // len(self._hits)
                return False
        manager.clipboard = ""
        self.y = self._looks.pop(0)
        steps.press(self._x, self.y, "ctrl+c")
        return True

    def click(self, right: int = 0, down: int = 0) -> None:
        """Click on it, or so many px beside it."""
        steps.click(self._x + right, self.y + down)


def sequencers():
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "SEQUENCE_EDITOR":
            yield area


def scene():
    return bpy.context.window_manager.windows[0].scene


def jobs() -> list:
    return part("operators.jobs").queue.jobs


def names() -> list[str]:
    return [place.strip.name for place in part("operators.strips").walk(scene())]


def results() -> list:
    walk = part("operators.strips").walk(scene())
    return [place.strip for place in walk if place.strip.get("delta_strip_job")]


def install(engine: dict[str, str]) -> None:
    """The extension from its zip, with a stand-in as engine.

    Args:
        engine: Its `scenario`, how many `steps` it makes and how long one takes, `seconds`; looked
            at anew for each engine that starts.
    """
    steps.install_extension()
    part("preferences").get_preferences().output_folder = str(FOLDER / "jobs")
    client, clean = part("engine.client"), part("engine.child_process").clean_environment
    fake = str(Path.cwd() / "tests/fake_engine.py")

    def engine_command(*_arguments) -> tuple[list[str], dict[str, str]]:
        # The steps are among the arguments too: the queue starts another engine when these change.
        command = ["/usr/bin/python3", fake, engine["scenario"], engine["steps"]]
        variables = {
            "FAKE_ENGINE_RECORDING": str(FOLDER / "recording"),
            "FAKE_ENGINE_STEP_SECONDS": engine["seconds"],
            "FAKE_ENGINE_STEPS": engine["steps"],
        }
        return command, clean(variables)

    client.engine_command = engine_command


def enlarge_timeline() -> None:
    """Drag the border between preview and timeline upwards, so that the whole tab is seen."""
    _drag_border(438, 440, 400, 340, 280, 270)


def enlarge_preview() -> None:
    """Drag that border down again, nearly to the timeline's end."""
    _drag_border(268, 270, 310, 400, 500, 600, 690, 700)


def shrink_preview() -> None:
    """As after `enlarge_timeline`."""
    _drag_border(702, 700, 660, 560, 460, 360, 280, 270)


def _drag_border(*heights: int) -> None:
    places = [("mousemove", "640", str(y), "sleep", "0.2") for y in heights]
    first, second, *rest = places
    moves = [argument for place in rest for argument in place]
    steps.xdotool(*first, *second, "mousedown", "1", "sleep", "0.3", *moves, "mouseup", "1")


def show(area, *, overlays: bool = False) -> None:
    """Have an area show our tab."""
    area.spaces.active.show_region_ui = True
    area.spaces.active.preview_overlay.show_metadata = overlays
    area.spaces.active.timeline_overlay.show_strip_source = overlays


def open_tab() -> None:
    """Our tab in front, and the whole film in the timeline."""
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


def point_at_timeline() -> None:
    """The pointer away from the tab, where no tooltip covers it."""
    steps.xdotool("mousemove", *map(str, TIMELINE))


def scroll(notches: int):
    """A step that turns the wheel over the tab, down for a positive number."""
    return lambda: steps.scroll(*SIDEBAR, notches)


def wait_for_programs() -> None:
    for program in steps.programs:
        try:
            program.wait(timeout=20)
        except subprocess.TimeoutExpired:
            program.kill()
