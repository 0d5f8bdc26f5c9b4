# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the running job in the status bar of every window."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators import jobs
from ..operators.words import iface_
from .status import queue_text

_HEADER = "STATUSBAR_HT_header"
_WIDTH_UNITS = 20  # in heights of a button; without it the text would be cut off


def draw(header: Any, _context: Any) -> None:
    """What is going on, with a bar and a way to stop it; nothing while nothing is."""
    job = jobs.queue.current
    if job is None:
        return
    row = header.layout.row(align=True)
    row.ui_units_x = _WIDTH_UNITS
    text = iface_("Delta Strip: {progress}", progress=queue_text(jobs.queue.jobs))
    row.progress(factor=job.factor, text=text)
    row.operator("delta_strip.cancel", text="", icon="CANCEL").job = str(job.folder)


def redraw() -> None:
    """Redraw the status bars; no area tells Python how."""
    for window in bpy.context.window_manager.windows:
        # Clearing the text redraws; what another tool wrote there while it runs is left alone.
        if not len(window.modal_operators):
            with bpy.context.temp_override(window=window):
                window.workspace.status_text_set_internal(None)


def register() -> None:
    """Put the job into the status bar."""
    getattr(bpy.types, _HEADER).append(draw)
    jobs.after_redraw.append(redraw)


def unregister() -> None:
    """Undo `register`."""
    jobs.after_redraw.remove(redraw)
    getattr(bpy.types, _HEADER).remove(draw)
