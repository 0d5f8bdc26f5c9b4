# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): how much old jobs take, and making room.

Looking and removing happen in a thread: job folders can hold many thousand files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from .. import preferences
from . import jobs, recovery
from .background_work import BackgroundWork
from .words import iface_, rpt_
from .wrapped_text import draw_text


class Storage(BackgroundWork):
    """What is known of the size of old jobs."""

    def __init__(self) -> None:
        super().__init__("storage")
        self.bytes = 0
        self.count = 0
        self.removed: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether anyone has looked."""
        return self.was_started and not self.is_running

    def look(self) -> None:
        """Find out what could be removed."""
        roots = _roots()
        self._start(lambda: self._measure(roots))

    def clean(self, keep_bytes: int) -> None:
        """Remove old jobs' files until no more than this is left of them."""
        roots = _roots()
        self._start(lambda: self._clean(roots, keep_bytes))

    def _start(self, work: Callable[[], None]) -> None:
        if not self.is_running:
            self.begin(work)

    def _measure(self, roots: list[Path]) -> None:
        from ..engine.job_cleaning import removable  # here: what Blender's start need not spend

        items = removable(roots)
        self.bytes, self.count = sum(item.bytes for item in items), len(items)

    def _clean(self, roots: list[Path], keep_bytes: int) -> None:
        from ..engine.job_cleaning import clean

        cleaned = clean(roots, keep_bytes=keep_bytes)
        self.removed = cleaned.bytes if cleaned.folders else None
        self._measure(roots)


storage = Storage()


def megabytes(count: int) -> str:
    """A size for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def keep_limit() -> None:
    """Make room after an edit when old jobs take more than the preferences allow."""
    if limit := preferences.get_preferences().cache_limit_gb:
        storage.clean(int(limit * 1e9))


def draw_results(layout: Any) -> None:
    """What old jobs take, and the button that makes room."""
    if not storage.is_known and not storage.is_running:
        storage.look()
    row = layout.row(align=True)
    row.operator("delta_strip.clean", text="Clean", icon="BRUSH_DATA")
    row.operator("delta_strip.measure_results", text="", icon="FILE_REFRESH")
    if storage.is_running:
        text = iface_("Looking at the job folders…")
    else:
        text = iface_(
            "Not needed any more: {size} in {count} folders.",
            size=megabytes(storage.bytes),
            count=storage.count,
        )
    if storage.removed is not None:
        text = iface_("Removed {size}.", size=megabytes(storage.removed)) + " " + text
    draw_text(layout, text)
    if storage.problem:
        draw_text(layout, storage.problem, icon="ERROR")


def _roots() -> list[Path]:
    return recovery.all_roots()


class DELTA_STRIP_OT_clean(bpy.types.Operator):
    """Delete failed and cancelled jobs, what finished ones no longer need, and what would make \
the next edit of a clip quicker. Results stay, and so do jobs that can be resumed"""

    bl_idname = "delta_strip.clean"
    bl_label = "Clean Old Jobs"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A reason is shown on the disabled button."""
        reason = ""
        if storage.is_running:
            reason = rpt_("The job folders are being looked at")
        elif storage.is_known and not storage.count:
            reason = rpt_("There is nothing to remove")
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: deleting cannot be undone."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        storage.clean(0)
        return {"FINISHED"}


class DELTA_STRIP_OT_measure_results(bpy.types.Operator):
    """Look again how much old jobs take"""

    bl_idname = "delta_strip.measure_results"
    bl_label = "Measure Old Jobs"

    def execute(self, _context: Any) -> set[str]:
        """Start the thread."""
        storage.removed = None
        storage.look()
        return {"FINISHED"}


CLASSES = (DELTA_STRIP_OT_clean, DELTA_STRIP_OT_measure_results)


def register() -> None:
    """Register the operators and their part of the preferences."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    preferences.sections["results"] = draw_results
    jobs.after_end.append(keep_limit)


def unregister() -> None:
    """Undo `register`."""
    storage.wait()
    jobs.after_end.remove(keep_limit)
    del preferences.sections["results"]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
