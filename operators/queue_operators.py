# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): what can be done with the queue's jobs and the engine."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..engine.errors import EngineError
from . import jobs, recovery
from .edit import finish
from .words import rpt_


class _JobOperator:
    """An operator about one job."""

    job: StringProperty(options={"HIDDEN", "SKIP_SAVE"})


class DELTA_STRIP_OT_cancel(_JobOperator, bpy.types.Operator):
    """Stop this job, or all of them. Your strips stay as they are"""

    bl_idname = "delta_strip.cancel"
    bl_label = "Cancel Edit"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A reason is shown on the disabled button."""
        if not jobs.queue.is_busy:
            cls.poll_message_set(rpt_("No edit is waiting or running"))
        return jobs.queue.is_busy

    def execute(self, _context: Any) -> set[str]:
        """Cancel the named job, or all."""
        for job in list(jobs.queue.jobs):
            if job.is_open and self.job in ("", str(job.folder)):
                jobs.queue.cancel(job)
        jobs.redraw()
        return {"FINISHED"}


class DELTA_STRIP_OT_resume(_JobOperator, bpy.types.Operator):
    """Go on with this job where it stopped; insert its result when it is finished"""

    bl_idname = "delta_strip.resume"
    bl_label = "Resume Edit"

    def execute(self, _context: Any) -> set[str]:
        """Queue it again."""
        try:
            queued = recovery.resume(Path(self.job))
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return finish(self, [queued])


class DELTA_STRIP_OT_retry_smaller(_JobOperator, bpy.types.Operator):
    """Try again at a quarter of the working area: less memory; the result has its full size"""

    bl_idname = "delta_strip.retry_smaller"
    bl_label = "Retry Edit Smaller"

    def execute(self, _context: Any) -> set[str]:
        """Queue it again."""
        try:
            queued = recovery.resume_smaller(Path(self.job))
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return finish(self, [queued])


class DELTA_STRIP_OT_move(_JobOperator, bpy.types.Operator):
    """Have this job run earlier or later"""

    bl_idname = "delta_strip.move"
    bl_label = "Move Edit in Queue"

    places: IntProperty(options={"HIDDEN", "SKIP_SAVE"}, default=-1, min=-1, max=1)

    def execute(self, _context: Any) -> set[str]:
        """Move it one place up (-1) or down (1)."""
        for job in list(jobs.queue.jobs):
            if str(job.folder) == self.job:
                jobs.queue.move(job, self.places)
        jobs.redraw()
        return {"FINISHED"}


class DELTA_STRIP_OT_discard(_JobOperator, bpy.types.Operator):
    """Delete this job and its frames from the disk"""

    bl_idname = "delta_strip.discard"
    bl_label = "Delete Unfinished Edit"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: deleting cannot be undone."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Any) -> set[str]:
        """Delete it."""
        try:
            recovery.discard(Path(self.job))
            jobs.redraw()
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class DELTA_STRIP_OT_clear_queue(bpy.types.Operator):
    """Take ended jobs off this list; their results and files stay"""

    bl_idname = "delta_strip.clear_queue"
    bl_label = "Clear List of Edits"

    def execute(self, _context: Any) -> set[str]:
        """Forget ended jobs, and offer unfinished ones for recovery."""
        jobs.queue.jobs = [job for job in jobs.queue.jobs if job.is_open]
        recovery.scan()
        jobs.redraw()
        return {"FINISHED"}


class DELTA_STRIP_OT_restart_engine(bpy.types.Operator):
    """End the engine and free its memory; it starts again with the next job"""

    bl_idname = "delta_strip.restart_engine"
    bl_label = "Stop Engine"

    def execute(self, _context: Any) -> set[str]:
        """Stop it."""
        jobs.queue.stop_engine()
        jobs.redraw()
        return {"FINISHED"}


class DELTA_STRIP_OT_open_log(_JobOperator, bpy.types.Operator):
    """Show what the engine wrote: the job's folder, or the engine's log"""

    bl_idname = "delta_strip.open_log"
    bl_label = "Open Engine Log"

    def execute(self, _context: Any) -> set[str]:
        """Open it in the desktop's own program."""
        path = Path(self.job) if self.job else jobs.engine_log()
        if not path.exists():
            self.report({"INFO"}, rpt_("The engine has written nothing yet."))
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


CLASSES = (
    DELTA_STRIP_OT_cancel,
    DELTA_STRIP_OT_resume,
    DELTA_STRIP_OT_retry_smaller,
    DELTA_STRIP_OT_move,
    DELTA_STRIP_OT_discard,
    DELTA_STRIP_OT_clear_queue,
    DELTA_STRIP_OT_restart_engine,
    DELTA_STRIP_OT_open_log,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
