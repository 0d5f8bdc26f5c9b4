# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): how a worker treats the computer it runs on.

Nothing here changes a pixel, so none of it is part of a job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Memory = Literal["auto", "low", "medium", "high"]


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Options of `python -m engine serve`.

    Attributes:
        idle_minutes: Time without a job after which models are dropped from memory; 0 for never.
        memory: How much of the device's memory the models may take: `high` keeps all parts of a
            model on the device, `medium` the part that works alone, `low` also computes parts of
            a backward pass again instead of keeping them; `auto` chooses between the three.
    """

    idle_minutes: float = 10.0
    memory: Memory = "auto"
