# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the operators of the panel; functions do the work."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import StringProperty

from .. import preferences
from ..engine import job_store
from ..engine.errors import EngineError, InvalidJobError, StorageError
from . import background_render, jobs, recovery, result_import, settings, strips
from .source_export import Export, check_strip, plan_export

_QUICK_CHECKS = 16  # strips looked at while drawing


def editable(scene: Any) -> list[strips.Place]:
    """What would be edited: the selection, without sounds and the mask when others are selected."""
    places = strips.selected(scene)
    mask_uuid = scene.delta_strip.mask_uuid if scene.delta_strip.mask_strip else ""
    kept = [
        place
        for place in places
        if place.strip.type != "SOUND"
        and not (mask_uuid and place.strip.get(strips.UUID_KEY) == mask_uuid)
    ]
    return kept or places


def why_not(scene: Any) -> str:
    """Why Edit cannot be pressed; empty when it can.

    Quick enough for drawing: it looks at some files of some strips. `edit_selection` looks at all.
    """
    places = editable(scene)
    if not places:
        return "Select a strip"
    try:
        for place in places[:_QUICK_CHECKS]:
            check_strip(place, is_quick=True)
        settings.check_prompts(scene.delta_strip)
        settings.mask_place(scene)
        preferences.engine_python()
    except EngineError as error:
        return error.message
    return ""


def edit_selection(context: Any) -> list[jobs.QueuedJob]:
    """Queue one job for each selected strip.

    Raises:
        EngineError: A strip, a prompt, the mask or the engine cannot be used; nothing was queued.
    """
    scene = strips.sequencer_scene(context)
    places = editable(scene)
    if not places:
        raise InvalidJobError("No strip is selected.", hint="Select one or more strips.")
    settings.check_prompts(scene.delta_strip)
    preferences.engine_python()
    strips.settle(bpy.data.scenes)
    mask = settings.mask_place(scene)
    channel = scene.delta_strip.mask_channel
    plans = [(place, plan_export(place, mask, mask_channel=channel)) for place in places]
    return [queue_job(place, export) for place, export in plans]


def queue_job(place: strips.Place, export: Export) -> jobs.QueuedJob:
    """Make the job folder of one strip and put it into the queue.

    Raises:
        EngineError: A setting cannot be honoured, or the folder cannot be written.
    """
    scene, strip = place.scene, place.strip
    preference = preferences.get_preferences()
    computer = settings.Computer(device=preference.device, threads=preferences.engine_threads())
    job = settings.to_job(
        scene.delta_strip, export, fps=strips.frame_rate(scene), computer=computer
    )
    placement = result_import.Placement(
        strip=strips.mark(strip),
        strip_name=strip.name,
        scene=scene.name,
        blend=bpy.data.filepath,
        left=strips.left(strip),
        content_start=strips.content_start(strip),
        is_media_space=export.is_media_space,
        is_rendered=export.source.rendering is not None,
        mask=scene.delta_strip.mask_uuid if export.mask else "",
    )
    root = preferences.jobs_root(bpy.data.filepath)
    try:
        folder = job_store.create(root, job, name=strip.name)
        lock = job_store.claim(folder)
        assert lock is not None  # the folder is new
        result_import.save_placement(folder, placement)
        if export.renderings:
            background_render.prepare(folder, export.renderings)
        recovery.remember_root(root)
        recovery.follow_file(folder)
    except OSError as error:
        raise StorageError(
            f"The job cannot be written to {root}: {error.strerror or error}.",
            hint="Choose another results folder in the preferences.",
        ) from error
    queued = jobs.QueuedJob(folder, strip.name, job, lock, warnings=list(export.warnings))
    jobs.queue.add(queued)
    return queued


def finish(operator: Any, queued: list[jobs.QueuedJob]) -> set[str]:
    """In background mode run the jobs to their end; in a window return at once."""
    if not bpy.app.background:
        return {"FINISHED"}
    jobs.run_to_end(queued)
    failed = [job for job in queued if job.state != "done"]
    for job in queued:
        for warning in job.warnings:
            operator.report({"WARNING"}, f"{job.title}: {warning}")
    for job in failed:
        text = f"{job.title}: {job.message or job.state} {job.hint}".strip()
        operator.report({"ERROR"}, text)
    return {"CANCELLED"} if failed else {"FINISHED"}


class DELTA_STRIP_OT_edit(bpy.types.Operator):
    """Edit the selected strips, one job each. You can go on working; results come in above them"""

    bl_idname = "delta_strip.edit"
    bl_label = "Edit"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A reason is shown on the disabled button; scripts get the error of `execute`."""
        reason = "" if bpy.app.background else why_not(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        """Queue the jobs."""
        try:
            queued = edit_selection(context)
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return finish(self, queued)


class _JobOperator:
    """An operator about one job."""

    job: StringProperty(options={"HIDDEN", "SKIP_SAVE"})


class DELTA_STRIP_OT_cancel(_JobOperator, bpy.types.Operator):
    """Stop this job, or all of them. Your strips stay as they are"""

    bl_idname = "delta_strip.cancel"
    bl_label = "Cancel"

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
    bl_label = "Resume"

    def execute(self, _context: Any) -> set[str]:
        """Queue it again."""
        try:
            queued = recovery.resume(Path(self.job))
        except EngineError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return finish(self, [queued])


class DELTA_STRIP_OT_discard(_JobOperator, bpy.types.Operator):
    """Delete this job and its frames from the disk"""

    bl_idname = "delta_strip.discard"
    bl_label = "Delete"

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
    bl_label = "Clear List"

    def execute(self, _context: Any) -> set[str]:
        """Forget ended jobs, and offer unfinished ones for recovery."""
        jobs.queue.jobs = [job for job in jobs.queue.jobs if job.is_open]
        recovery.scan_quietly()
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
    bl_label = "Open Log"

    def execute(self, _context: Any) -> set[str]:
        """Open it in the desktop's own program."""
        path = Path(self.job) if self.job else jobs.engine_log()
        if not path.exists():
            self.report({"INFO"}, "The engine has written nothing yet.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


class DELTA_STRIP_OT_new_seed(bpy.types.Operator):
    """Roll the dice: another seed gives another variation"""

    bl_idname = "delta_strip.new_seed"
    bl_label = "New Seed"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Choose a seed."""
        scene = strips.sequencer_scene(context)
        scene.delta_strip.seed = random.randint(0, settings.SEED_MAX)
        return {"FINISHED"}


CLASSES = (
    DELTA_STRIP_OT_edit,
    DELTA_STRIP_OT_cancel,
    DELTA_STRIP_OT_resume,
    DELTA_STRIP_OT_discard,
    DELTA_STRIP_OT_clear_queue,
    DELTA_STRIP_OT_restart_engine,
    DELTA_STRIP_OT_open_log,
    DELTA_STRIP_OT_new_seed,
)


def register() -> None:
    """Register the operators."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Undo `register`."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
