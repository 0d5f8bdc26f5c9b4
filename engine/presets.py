# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): what an editor chooses between time and quality.

A preset changes a backbone's recommended settings: more and smaller steps along the same way, or
fewer and larger ones, as far as a step may go. Time goes with the steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from .errors import InvalidJobError
from .job import EditSettings
from .schema import field_info

Preset = Literal["draft", "balanced", "quality"]

PACE: dict[Preset, float] = {"draft": 0.5, "balanced": 1.0, "quality": 2.0}
"""Steps of a preset, as a share of the recommended ones."""


def at_preset(recommended: EditSettings, preset: Preset) -> EditSettings:
    """The settings of a preset; `balanced` is what the backbone recommends.

    The size of a step changes against the number of steps, and so does what the running mean keeps
    per step: the way to the edit and the stretch of it that is averaged stay the same, as far as
    the fields' limits let them.

    Raises:
        InvalidJobError: There is no such preset.
    """
    if preset not in PACE:
        raise InvalidJobError(
            f"There is no preset {preset!r}.", hint=f"The presets are {', '.join(PACE)}."
        )
    pace = PACE[preset]
    if pace == 1.0:
        return recommended
    return replace(
        recommended,
        steps=max(1, round(recommended.steps * pace)),
        step_size=_limited("step_size", recommended.step_size / pace),
        effective_step=_limited("effective_step", recommended.effective_step / pace),
        averaging=_limited("averaging", recommended.averaging ** (1 / pace)),
    )


def _limited(name: str, value: float) -> float:
    """A value within its field's limits, rounded to what a person would write."""
    info = field_info(EditSettings, name)
    value = max(value, info.minimum) if info.minimum is not None else value
    value = min(value, info.maximum) if info.maximum is not None else value
    return float(f"{value:.6g}")
