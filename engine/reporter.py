# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): how a running job talks to whoever started it."""

from __future__ import annotations

from .protocol import StageName


class Reporter:
    """What a job calls while it runs. This base keeps silent and never cancels."""

    def stage(self, name: StageName) -> None:
        """The job enters a stage."""

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` units of the current stage are finished."""

    def warning(self, message: str, *, hint: str = "") -> None:
        """Something the editor should know; the job goes on."""

    def check_cancelled(self) -> None:
        """Return at once, or raise `CancelledError` when a cancel was asked for."""
