# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports no bpy itself): how a job's progress is put into words."""

from __future__ import annotations

from ..operators.queued_job import ACTIVE, QueuedJob
from ..operators.words import iface_, n_

_VERBS = {
    "waiting": n_("Waiting"),
    "exporting": n_("Rendering the strip"),
    "importing": n_("Inserting"),
    "done": n_("Done"),
    "kept": n_("Finished, in Results"),
    "failed": n_("Failed"),
    "cancelled": n_("Cancelled"),
    # stages of a running job
    "loading": n_("Loading the model"),
    "encoding": n_("Encoding"),
    "editing": n_("Editing"),
    "decoding": n_("Decoding"),
    "writing": n_("Writing"),
}


def duration(seconds: float) -> str:
    """A short text for a time."""
    if seconds < 90:
        return iface_("{count} s", count=max(1, round(seconds)))
    if seconds < 5400:
        return iface_("{count} min", count=round(seconds / 60))
    return iface_("{count} h", count=f"{seconds / 3600:.1f}")


def time_left(seconds: float) -> str:
    """A short text for the time left; empty while it is unknown."""
    return "" if seconds < 0 else iface_("{time} left", time=duration(seconds))


def status_text(job: QueuedJob) -> str:
    """Verb, number and time, such as “Editing 12/48 · 30 s left”."""
    if job.is_cancelling:
        return iface_("Stopping after this step")
    if job.state == "running":
        verb = iface_(_VERBS.get(job.stage) or n_("Starting the engine"))
    else:
        verb = iface_(_VERBS[job.state])
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
    parts = [status_text(current)]
    if waiting:
        parts.append(iface_("{count} waiting", count=waiting))
    return " · ".join([*parts, current.title])  # the name last: a long one is what is cut off
