# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): install, verify and repair the engine from the preferences.

The work runs in a thread that touches no bpy; a timer shows its last line.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from .. import preferences
from ..engine.errors import EngineError

if TYPE_CHECKING:  # imported late: 2 ms that Blender's start need not spend
    from ..engine.environment import EnvironmentSpec, EnvironmentState

_TICK_SECONDS = 0.25
OFFLINE = "Online access is off: to download, allow it in System > Network"


@dataclass
class Setup:
    """What the setup thread does, and how far it is."""

    line: str = ""
    problem: str = ""
    state: EnvironmentState | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work."""
        return self.thread is not None and self.thread.is_alive()

    def start(self, work: Callable[[], EnvironmentState]) -> None:
        """Run `work` in a thread; its errors become `problem`."""

        def run() -> None:
            try:
                self.state = work()
            except EngineError as error:
                self.problem = str(error)
            except OSError as error:
                self.problem = f"The engine could not be set up: {error}."

        self.problem = ""
        self.cancel.clear()
        self.thread = threading.Thread(target=run, name="delta-strip-setup", daemon=True)
        self.thread.start()

    def show(self, line: str) -> None:
        """Remember the last line of progress."""
        self.line = line


setup = Setup()


def make_spec() -> EnvironmentSpec:
    """The environment the preferences ask for; a finished one keeps its build of torch."""
    from ..engine.environment import EnvironmentSpec, verify

    root = preferences.environment_folder()
    state = verify(root, preferences.LOCKS)
    return EnvironmentSpec(
        root=root,
        locks=preferences.LOCKS,
        flavour=state.flavour or "cpu",
        python=Path(sys.executable),
        index_url=preferences.get_preferences().index_url.strip(),
    )


def install(spec: EnvironmentSpec, *, must_repair: bool) -> EnvironmentState:
    """Make or repair the environment; runs in the thread."""
    # Here: 6 ms that Blender's start need not spend.
    from ..engine.environment import verify
    from ..engine.environment_build import create, repair
    from ..engine.environment_setup import choose_flavour

    if verify(spec.root, spec.locks).flavour is None:
        flavour, reason = choose_flavour(spec, on_line=setup.show)
        setup.show(reason)
        spec = replace(spec, flavour=flavour)
    work = repair if must_repair else create
    return work(spec, on_line=setup.show, cancel=setup.cancel)


def check(root: Path) -> EnvironmentState:
    """Look at every file of the environment; runs in the thread."""
    from ..engine.environment import verify

    setup.show("Looking at every file of the engine's environment.")
    state = verify(root, preferences.LOCKS, is_deep=True)
    setup.show(" ".join(state.problems) or "The engine's environment is complete.")
    return state


def tick() -> float | None:
    """Redraw the preferences while the thread works."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
    return _TICK_SECONDS if setup.is_running else None


def status_line() -> tuple[str, bool]:
    """The engine's state in one sentence, and whether it can run. Quick enough for drawing."""
    from ..engine.environment import python_of

    try:
        python = preferences.engine_python()
    except EngineError as error:
        return error.message, False
    root = preferences.environment_folder()
    if preferences.is_managed() and python == python_of(root).absolute():
        state = setup.state
        if state is not None and not state.is_ready:
            return " ".join(state.problems) or f"The engine is {state.status}.", False
    named = os.environ.get(preferences.PYTHON_VARIABLE)
    origin = f" ({preferences.PYTHON_VARIABLE})" if named and Path(named) == python else ""
    return f"Engine: {python}{origin}", True


def draw_setup(layout: Any) -> None:
    """State, progress and buttons of the engine."""
    column = layout.column()
    if setup.is_running:
        column.label(text=setup.line[:160] or "Working…", icon="SORTTIME")
        column.operator("delta_strip.cancel_setup", icon="CANCEL")
        return
    text, is_ready = status_line()
    row = column.row(align=True)
    row.label(text=text, icon="CHECKMARK" if is_ready else "INFO")
    row.operator("delta_strip.open_log", text="", icon="TEXT")
    if setup.problem:
        box = column.box()
        for part in setup.problem.splitlines()[:12]:
            box.label(text=part, icon="ERROR")
    if not preferences.is_managed():
        return
    if not bpy.app.online_access:
        column.label(text=OFFLINE, icon="INTERNET_OFFLINE")
    row = column.row(align=True)
    row.operator("delta_strip.install_engine", icon="IMPORT")
    row.operator("delta_strip.verify_engine", icon="VIEWZOOM")
    row.operator("delta_strip.repair_engine", icon="TOOL_SETTINGS")


class _SetupOperator:
    """What the three buttons share."""

    must_repair = False

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """One setup at a time, and only with Blender's permission to go online."""
        if setup.is_running:
            cls.poll_message_set("The engine is being set up.")  # type: ignore[attr-defined]
            return False
        if not bpy.app.online_access:
            cls.poll_message_set(OFFLINE)  # type: ignore[attr-defined]
            return False
        return True

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        spec, must_repair = make_spec(), self.must_repair
        setup.start(lambda: install(spec, must_repair=must_repair))
        start_showing()
        return {"FINISHED"}


class DELTA_STRIP_OT_install_engine(_SetupOperator, bpy.types.Operator):
    """Download and install the engine's packages (about 1.5 GB for the processor, 6 GB for CUDA)"""

    bl_idname = "delta_strip.install_engine"
    bl_label = "Install Engine"


class DELTA_STRIP_OT_repair_engine(_SetupOperator, bpy.types.Operator):
    """Download and install again what is missing or damaged"""

    bl_idname = "delta_strip.repair_engine"
    bl_label = "Repair"
    must_repair = True


class DELTA_STRIP_OT_verify_engine(bpy.types.Operator):
    """Look whether every file of the engine is there, without going online"""

    bl_idname = "delta_strip.verify_engine"
    bl_label = "Verify"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """One setup at a time."""
        return not setup.is_running

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        root = preferences.environment_folder()
        setup.start(lambda: check(root))
        start_showing()
        return {"FINISHED"}


class DELTA_STRIP_OT_cancel_setup(bpy.types.Operator):
    """Stop the installation; an engine that worked before stays"""

    bl_idname = "delta_strip.cancel_setup"
    bl_label = "Cancel"

    def execute(self, _context: Any) -> set[str]:
        """Tell the thread."""
        setup.cancel.set()
        return {"FINISHED"}


def start_showing() -> None:
    """Redraw the preferences from now until the thread ends."""
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, persistent=True)


CLASSES = (
    DELTA_STRIP_OT_install_engine,
    DELTA_STRIP_OT_repair_engine,
    DELTA_STRIP_OT_verify_engine,
    DELTA_STRIP_OT_cancel_setup,
)


def register() -> None:
    """Register the operators."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    preferences.engine_sections.append(draw_setup)


def unregister() -> None:
    """Stop the setup, and undo `register`."""
    setup.cancel.set()
    preferences.engine_sections.remove(draw_setup)
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
