# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports no bpy itself): how a job's progress is put into words."""

from __future__ import annotations

from ..operators.queued_job import ACTIVE, VERBS, QueuedJob


def duration(seconds: float) -> str:
    """A short text for a time."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def time_left(seconds: float) -> str:
    """A short text for the time left; empty while it is unknown."""
    return "" if seconds < 0 else f"{duration(seconds)} left"


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


def queue_text(queue: list[QueuedJob]) -> str:
    """One line for the whole queue: the job that runs, and how many wait."""
    current = next((job for job in queue if job.state in ACTIVE), None)
    if current is None:
        return ""
    waiting = sum(job.state == "waiting" for job in queue)
    text = f"{current.title} · {status_text(current)}"
    return f"{text} · {waiting} waiting" if waiting else text
