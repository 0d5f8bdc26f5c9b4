# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports no bpy itself): how a job's progress is put into words."""

from __future__ import annotations

from ..operators.queued_job import VERBS, QueuedJob


def time_left(seconds: float) -> str:
    """A short text for a time; empty while it is unknown."""
    if seconds < 0:
        return ""
    if seconds < 90:
        return f"{max(1, round(seconds))} s left"
    if seconds < 5400:
        return f"{round(seconds / 60)} min left"
    return f"{seconds / 3600:.1f} h left"


def status_text(job: QueuedJob) -> str:
    """Verb, number and time, such as “Editing 12/48 · 30 s left”."""
    if job.is_cancelling:
        return "Stopping after this step"
    if job.state == "running":
        verb = VERBS.get(job.stage, "Starting the engine")
    else:
        verb = VERBS.get(job.state, job.state.capitalize())
    if job.state in ("exporting", "running") and job.total:
        verb += f" {job.done}/{job.total}"
    left = time_left(job.seconds_left) if job.state == "running" else ""
    return f"{verb} · {left}" if left else verb
