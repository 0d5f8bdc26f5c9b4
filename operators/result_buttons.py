# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the buttons of the list of results."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, StringProperty

from ..engine import job_store
from ..engine.errors import EngineError, InvalidJobError
from ..engine.reachable import has_folder
from . import jobs, recovery, result_import, results, settings_reuse, strips
from .words import rpt_


class ResultOperator:
    """An operator about the folder of one result; that of the chosen line when it is empty."""

    job: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @property
    def folder(self) -> Path:
        """The job folder.

        Raises:
            InvalidJobError: None is named, and none is chosen.
        """
        if self.job:
            return Path(self.job)
        result = results.chosen_result()
        if result is None:
            hint = rpt_("Choose one in the list of results.")
            raise InvalidJobError(rpt_("No result is chosen."), hint=hint)
        return result.folder

    def act(self, context: Any) -> str:
        """Do it; returns what to report, empty for nothing."""
        raise NotImplementedError

    def execute(self, context: Any) -> set[str]:
        """Do it, or say why not."""
        try:
            text = self.act(context)
        except EngineError as error:
            self.report({"ERROR"}, str(error))  # pyright: ignore[reportAttributeAccessIssue]
            return {"CANCELLED"}
        if text:
            self.report({"INFO"}, text)  # pyright: ignore[reportAttributeAccessIssue]
        jobs.redraw()
        return {"FINISHED"}


class DELTA_STRIP_OT_insert_result(ResultOperator, bpy.types.Operator):
    """Put this result into the timeline above its source, or at the playhead when that is gone"""

    bl_idname = "delta_strip.insert_result"
    bl_label = "Insert Result"

    mute_source: BoolProperty(
        name="Mute Source",
        description="Also mute the source strip, so that the result alone is seen",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        """The tooltip of each of the two buttons."""
        if properties.mute_source:
            return "Put this result into the timeline above its source, and mute the source"
        return (
            "Put this result into the timeline above its source, or at the playhead when that "
            "is gone"
        )

    def act(self, context: Any) -> str:
        """Insert it."""
        scene = strips.sequencer_scene(context)
        name = results.insert(self.folder, scene, is_source_muted=self.mute_source)
        recovery.scan()
        return rpt_("Inserted “{name}”.", name=name)


class DELTA_STRIP_OT_reuse_settings(ResultOperator, bpy.types.Operator):
    """Set prompts, method, seed and everything else as they were for this result"""

    bl_idname = "delta_strip.reuse_settings"
    bl_label = "Reuse Settings of Result"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> str:
        """Copy the settings into the panel."""
        scene = strips.sequencer_scene(context)
        folder = self.folder
        placement = result_import.load_placement(folder)
        mask = (placement.mask, placement.mask_kind) if placement else ()
        notes = settings_reuse.apply(scene, job_store.load(folder), *mask)
        return " ".join([rpt_("The panel now has the settings of this result."), *notes])


class DELTA_STRIP_OT_reveal_result(ResultOperator, bpy.types.Operator):
    """Show the folder with the frames, the movie and the measurements of this result"""

    bl_idname = "delta_strip.reveal_result"
    bl_label = "Open Folder of Result"

    def act(self, _context: Any) -> str:
        """Open it in the desktop's own program."""
        folder = self.folder
        if not has_folder(folder):
            raise InvalidJobError(rpt_("{folder} does not exist any more.", folder=folder))
        bpy.ops.wm.path_open(filepath=str(folder))
        return ""


class DELTA_STRIP_OT_delete_result(ResultOperator, bpy.types.Operator):
    """Delete this result and its frames from the disk. Not while a strip shows it"""

    bl_idname = "delta_strip.delete_result"
    bl_label = "Delete Result"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: deleting cannot be undone."""
        return context.window_manager.invoke_confirm(
            self,
            event,
            title="Delete this result from the disk?",
            message="This cannot be undone. Other .blend files that show it lose their frames.",
            confirm_text="Delete",
        )

    def act(self, _context: Any) -> str:
        """Delete it."""
        results.delete(self.folder)
        return ""


class DELTA_STRIP_OT_refresh_results(bpy.types.Operator):
    """Look again for finished edits, also those of other Blender windows"""

    bl_idname = "delta_strip.refresh_results"
    bl_label = "Refresh Results"

    def execute(self, _context: Any) -> set[str]:
        """Read the folders."""
        results.refresh()
        for function in results.on_request:
            function()
        return {"FINISHED"}


CLASSES = (
    DELTA_STRIP_OT_insert_result,
    DELTA_STRIP_OT_reuse_settings,
    DELTA_STRIP_OT_reveal_result,
    DELTA_STRIP_OT_delete_result,
    DELTA_STRIP_OT_refresh_results,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
