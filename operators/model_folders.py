# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the buttons that add, verify, remove and choose models."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import preferences
from ..engine.errors import EngineError
from ..engine.model_folder import IMAGE_KIND, VIDEO_KIND
from . import jobs, model_choice, strips
from .model_choice import known
from .model_look import look
from .model_section import draw_models
from .words import rpt_


def _finish(operator: Any, folder: Path) -> set[str]:
    """In background mode wait and report; in a window return at once."""
    if bpy.app.background:
        look.wait()
        entry = known.library.entry(str(folder))
        if entry is not None and entry.problem:
            operator.report({"WARNING"}, entry.problem)
    return {"FINISHED"}


class _LookOperator:
    """An operator that looks at a folder, or changes the list: one at a time."""

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A reason is shown on the disabled button."""
        if look.is_running:
            text = rpt_("A model folder is being looked at")
            cls.poll_message_set(text)  # type: ignore[attr-defined]
        return not look.is_running


class DELTA_STRIP_OT_add_model_folder(_LookOperator, bpy.types.Operator):
    """Add the folder of a model in the diffusers layout, with weights as safetensors. Every file \
is looked at, and those with a known checksum are read; the folder stays where it is"""

    bl_idname = "delta_strip.add_model_folder"
    bl_label = "Add Model Folder"

    directory: StringProperty(
        name="Folder",
        description="Folder that holds the model's model_index.json",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Choose the folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Any) -> set[str]:
        """Refuse what is no model folder at once; look at another one in the thread."""
        from ..engine.model_library import check_is_model  # late, as in model_choice

        folder = Path(bpy.path.abspath(self.directory)).absolute()
        try:
            check_is_model(folder)
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        look.start(folder)
        return _finish(self, folder)


class DELTA_STRIP_OT_verify_model_folder(_LookOperator, bpy.types.Operator):
    """Look at every file of this model again, and read those with a known checksum"""

    bl_idname = "delta_strip.verify_model_folder"
    bl_label = "Verify Model"

    folder: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        look.start(Path(self.folder))
        return _finish(self, Path(self.folder))


class DELTA_STRIP_OT_remove_model_folder(_LookOperator, bpy.types.Operator):
    """Take this model off the list; its files stay. When it is the one that edits, the demo model \
edits from now on"""

    bl_idname = "delta_strip.remove_model_folder"
    bl_label = "Remove Model Folder from List"

    folder: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, _context: Any) -> set[str]:
        """Forget it."""
        folder = self.folder
        known.change(lambda library: library.without(folder), model_choice.library_file())
        if preferences.get_preferences().model == self.folder:
            _choose("")
            title = model_choice.demo_card().title
            self.report({"INFO"}, rpt_("{model} edits from now on.", model=title))
        return {"FINISHED"}


class DELTA_STRIP_OT_use_model(bpy.types.Operator):
    """Edit with this model from now on, in all files"""

    bl_idname = "delta_strip.use_model"
    bl_label = "Use Model"

    folder: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, _context: Any) -> set[str]:
        """Choose it, if it can be used."""
        if self.folder and not _is_usable(self, self.folder, VIDEO_KIND):
            return {"CANCELLED"}
        _choose(self.folder)
        return {"FINISHED"}


class DELTA_STRIP_OT_use_image_model(bpy.types.Operator):
    """Have this image model guide the edits of Adaptive Sliding in this scene"""

    bl_idname = "delta_strip.use_image_model"
    bl_label = "Use Image Model"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 - how Blender's classes are written

    folder: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: Any) -> set[str]:
        """Choose it, if it can be used; empty: the image mode of the model that edits."""
        if self.folder and not _is_usable(self, self.folder, IMAGE_KIND):
            return {"CANCELLED"}
        strips.sequencer_scene(context).delta_strip.assd_fields.image_backbone = self.folder
        return {"FINISHED"}


def _is_usable(operator: Any, folder: str, kind: str) -> bool:
    from ..engine.model_library import ModelEntry, card_of, check_there

    entry = known.library.entry(folder) or ModelEntry(folder=folder, problem="It is not listed.")
    try:
        check_there(card_of(entry, kind))
    except EngineError as error:
        operator.report({"ERROR"}, str(error))
        return False
    return True


def _choose(folder: str) -> None:
    preferences.get_preferences().model = folder
    preferences.save_later()
    jobs.redraw()


CLASSES = (
    DELTA_STRIP_OT_add_model_folder,
    DELTA_STRIP_OT_verify_model_folder,
    DELTA_STRIP_OT_remove_model_folder,
    DELTA_STRIP_OT_use_model,
    DELTA_STRIP_OT_use_image_model,
)


def register() -> None:
    """Register the operators and their part of the preferences."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    preferences.sections["models"] = draw_models


def unregister() -> None:
    """Undo `register`."""
    look.drop()
    known.forget()
    del preferences.sections["models"]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
