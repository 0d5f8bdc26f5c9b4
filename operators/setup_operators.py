# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the buttons that install, verify, repair and remove the
engine; `engine_setup` does the work.
"""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import preferences
from ..engine.errors import EngineError
from . import engine_setup
from .setup_section import OFFLINE, draw_engine, draw_plan
from .setup_task import machine, setup, stop
from .words import rpt_


class _SetupOperator:
    """What the buttons share: one setup at a time, and never while the engine works."""

    needs_network = False

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A reason is shown on the disabled button."""
        reason = engine_setup.why_no_setup()
        if not reason and cls.needs_network and not bpy.app.online_access:
            reason = rpt_(OFFLINE)
        if reason:
            cls.poll_message_set(reason)  # type: ignore[attr-defined]
        return not reason

    def attempt(self, start: Callable[..., None], **arguments: Any) -> set[str]:
        """Begin; what is refused at once is reported."""
        try:
            start(**arguments)
        except EngineError as error:
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return {"FINISHED"}


class DELTA_STRIP_OT_install_engine(_SetupOperator, bpy.types.Operator):
    """Download the engine's packages and install them into a folder of their own. An engine that \
worked before stays until the new one has passed its test"""

    bl_idname = "delta_strip.install_engine"
    bl_label = "Install Engine"
    needs_network = True

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Say what will be downloaded, before it is."""
        machine.look()
        return context.window_manager.invoke_props_dialog(
            self, width=520, title="Install the engine?", confirm_text="Download and Install"
        )

    def draw(self, _context: Any) -> None:
        """Sizes, free space, GPU and driver."""
        draw_plan(self.layout, engine_setup.make_plan(is_local=False))

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        return self.attempt(engine_setup.start_installation)


class DELTA_STRIP_OT_install_engine_folder(_SetupOperator, bpy.types.Operator):
    """Install the engine without a network, from a folder with its packages (.whl files)"""

    bl_idname = "delta_strip.install_engine_folder"
    bl_label = "Install Engine from Folder"

    directory: StringProperty(
        name="Folder",
        description="Folder with the engine's packages",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(default="*.whl", options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Choose the folder."""
        machine.look()
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, _context: Any) -> None:
        """Beside the file browser: what is needed and found."""
        draw_plan(self.layout, engine_setup.make_plan(is_local=True))

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        wheels = Path(bpy.path.abspath(self.directory))
        return self.attempt(engine_setup.start_installation, wheels=wheels)


class DELTA_STRIP_OT_save_engine_packages(_SetupOperator, bpy.types.Operator):
    """Download the engine's packages into a folder, to install them on a computer without a \
network that has the same system and the same Blender"""

    bl_idname = "delta_strip.save_engine_packages"
    bl_label = "Save Engine Packages"
    needs_network = True

    directory: StringProperty(
        name="Folder",
        description="Folder that the engine's packages are saved to",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Choose the folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        folder = Path(bpy.path.abspath(self.directory))
        return self.attempt(engine_setup.start_saving, folder=folder)


class DELTA_STRIP_OT_repair_engine(_SetupOperator, bpy.types.Operator):
    """Download and install again what is missing or damaged"""

    bl_idname = "delta_strip.repair_engine"
    bl_label = "Repair Engine"
    needs_network = True

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        return self.attempt(engine_setup.start_installation, must_repair=True)


class DELTA_STRIP_OT_verify_engine(_SetupOperator, bpy.types.Operator):
    """Look whether every file of the engine is there, and try a tiny edit. Needs no network"""

    bl_idname = "delta_strip.verify_engine"
    bl_label = "Verify Engine"

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        return self.attempt(engine_setup.start_check)


class DELTA_STRIP_OT_remove_engine(_SetupOperator, bpy.types.Operator):
    """Delete the engine's environment from the disk. Results and models stay"""

    bl_idname = "delta_strip.remove_engine"
    bl_label = "Remove Engine"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: it has to be installed again."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        return self.attempt(engine_setup.start_removal)


class DELTA_STRIP_OT_cancel_setup(bpy.types.Operator):
    """Stop; an engine that worked before stays, and what was downloaded is kept for next time"""

    bl_idname = "delta_strip.cancel_setup"
    bl_label = "Cancel Engine Setup"

    def execute(self, _context: Any) -> set[str]:
        """Tell the thread."""
        setup.cancel.set()
        return {"FINISHED"}


class DELTA_STRIP_OT_open_setup_log(bpy.types.Operator):
    """Show every line of the last installation or check"""

    bl_idname = "delta_strip.open_setup_log"
    bl_label = "Open Engine Setup Log"

    def execute(self, _context: Any) -> set[str]:
        """Open it in the desktop's own program."""
        log = engine_setup.setup_log()
        if not log.exists():
            self.report({"INFO"}, rpt_("Nothing has been installed or verified yet."))
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(log))
        return {"FINISHED"}


CLASSES = (
    DELTA_STRIP_OT_install_engine,
    DELTA_STRIP_OT_install_engine_folder,
    DELTA_STRIP_OT_save_engine_packages,
    DELTA_STRIP_OT_repair_engine,
    DELTA_STRIP_OT_verify_engine,
    DELTA_STRIP_OT_remove_engine,
    DELTA_STRIP_OT_cancel_setup,
    DELTA_STRIP_OT_open_setup_log,
)


def register() -> None:
    """Register the operators and their part of the preferences."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    preferences.sections["engine"] = draw_engine
    preferences.engine_blocks.append(engine_setup.why_blocked)


def unregister() -> None:
    """Stop the setup, and undo `register`."""
    stop()
    preferences.engine_blocks.remove(engine_setup.why_blocked)
    del preferences.sections["engine"]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
