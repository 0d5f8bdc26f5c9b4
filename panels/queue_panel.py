# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the queue with progress, and jobs to recover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..engine import job_store
from ..operators import jobs, recovery
from ..operators.words import iface_
from . import live_preview
from .edit_panel import SequencerPanel, draw_text
from .status import status_text

_ICONS = {
    "done": "CHECKMARK",
    "kept": "CHECKMARK",
    "failed": "ERROR",
    "cancelled": "X",
    "waiting": "SORTTIME",
}
_PREVIEW_UNITS = 9.0  # height of the picture, in heights of a button


class DELTA_STRIP_PT_queue(SequencerPanel, bpy.types.Panel):
    """Jobs since Blender started."""

    bl_label = "Queue"
    bl_order = 1

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Shown when there is something to show."""
        return bool(jobs.queue.jobs)

    def draw(self, _context: Any) -> None:
        """Draw the queue."""
        layout: Any = self.layout
        for job in jobs.queue.jobs:
            draw_job(layout.box().column(align=True), job)
        row = layout.row(align=True)
        if sum(job.is_open for job in jobs.queue.jobs) > 1:
            row.operator("delta_strip.cancel", text="Cancel All", icon="CANCEL")
        if not all(job.is_open for job in jobs.queue.jobs):
            row.operator("delta_strip.clear_queue", text="Clear List")


def draw_job(layout: Any, job: jobs.QueuedJob) -> None:
    """One job: its name, progress or end, and what can be done."""
    row = layout.row(align=True)
    is_waiting = job.state == "waiting"
    # Beside four buttons there is no room for both: a waiting job has its target below.
    text = job.title if is_waiting else f"{job.title} → {job.job.target_prompt}"
    row.label(text=text, icon=_ICONS.get(job.state, "PLAY"), translate=False)
    if is_waiting and sum(j.state == "waiting" for j in jobs.queue.jobs) > 1:
        for places, icon in ((-1, "TRIA_UP"), (1, "TRIA_DOWN")):
            operator = row.operator("delta_strip.move", text="", icon=icon)
            operator.job, operator.places = str(job.folder), places
    if job.is_open:
        button(row, "delta_strip.cancel", job.folder, icon="CANCEL")
    button(row, "delta_strip.open_log", job.folder, icon="FILE_FOLDER")
    draw_state(layout, job)
    if job.state in ("failed", "cancelled"):
        draw_retry(layout, job)
    for warning in job.warnings:
        draw_text(layout, warning, icon="INFO")


def draw_state(layout: Any, job: jobs.QueuedJob) -> None:
    """How far a job is, or how it ended."""
    if job.state in jobs.ACTIVE:
        layout.progress(factor=job.factor, text=status_text(job))
        draw_preview(layout, job)
    elif job.state == "done":
        text = iface_("In the timeline as “{name}”", name=job.result_name)
        draw_text(layout, text, icon="BLANK1")
    elif job.state == "kept":
        draw_text(layout, f"{status_text(job)}. {job.message} {job.hint}", icon="BLANK1")
    elif job.state == "failed":
        draw_failure(layout, job)
    elif job.state == "waiting":
        draw_text(layout, f"{status_text(job)} · {job.job.target_prompt}", icon="BLANK1")
    else:
        layout.label(text=status_text(job), icon="BLANK1")


def draw_preview(layout: Any, job: jobs.QueuedJob) -> None:
    """A frame before and after, as far as the edit is."""
    if icon := live_preview.icon(job):
        layout.template_icon(icon_value=icon, scale=_PREVIEW_UNITS)
        layout.label(text="One frame, before and after", icon="BLANK1")


def draw_retry(layout: Any, job: jobs.QueuedJob) -> None:
    """Ways to try a job again."""
    row = layout.row(align=True)
    button(row, "delta_strip.resume", job.folder, text="Retry", icon="FILE_REFRESH")
    if job.can_be_smaller:
        button(row, "delta_strip.retry_smaller", job.folder, icon="FULLSCREEN_EXIT", text="Smaller")


def draw_failure(layout: Any, job: jobs.QueuedJob) -> None:
    """What happened in red, and below it what to do."""
    column = layout.column()
    column.alert = True
    draw_text(column, job.message or iface_("It failed."), icon="BLANK1")
    if job.hint:
        draw_text(layout, job.hint, icon="BLANK1")
    row = layout.row(align=True)
    button(row, "delta_strip.copy_diagnostics", job.folder, text="Copy Report", icon="COPYDOWN")
    log = job.folder / job_store.LOG
    button(row, "delta_strip.open_log", log, text="Open Log", icon="TEXT")


class DELTA_STRIP_PT_recovery(SequencerPanel, bpy.types.Panel):
    """Jobs that a crash or a closed Blender left behind."""

    bl_label = "Unfinished Jobs"
    bl_order = 2

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Shown when there are any."""
        return bool(recovery.found)

    def draw(self, _context: Any) -> None:
        """Draw the list."""
        layout: Any = self.layout
        for item in recovery.found:
            column = layout.box().column(align=True)
            column.label(text=item.title, icon="RECOVER_LAST")
            where = Path(item.blend).name if item.blend else iface_("an unsaved file")
            draw_text(column, iface_("not finished · {file}", file=where), icon="BLANK1")
            row = column.row(align=True)
            button(row, "delta_strip.resume", item.folder, text="Resume", icon="PLAY")
            button(row, "delta_strip.discard", item.folder, text="Delete", icon="TRASH")


def button(layout: Any, operator: str, folder: Path, *, icon: str, text: str = "") -> None:
    """A button about one job."""
    layout.operator(operator, text=text, icon=icon).job = str(folder)


CLASSES = (DELTA_STRIP_PT_queue, DELTA_STRIP_PT_recovery)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
