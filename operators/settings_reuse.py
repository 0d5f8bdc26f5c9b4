# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through strips.py, never torch): a job's settings back into the panel."""

from __future__ import annotations

from typing import Any

from bpy.app.translations import pgettext_rpt as rpt_

from ..engine.job import EditJob
from . import settings, strips


def apply(scene: Any, job: EditJob, mask_uuid: str = "") -> list[str]:
    """Set `scene.delta_strip` as it was for a job.

    Args:
        scene: Gets the settings.
        job: Says them.
        mask_uuid: Of the mask strip, empty without one.

    Returns:
        Sentences about what could not be taken over.
    """
    panel = scene.delta_strip
    notes = []
    panel.source_prompt, panel.target_prompt = job.source_prompt, job.target_prompt
    panel.method = job.method
    panel.strength = job.settings.strength
    panel.seed = min(job.seed, settings.SEED_MAX)
    if panel.seed != job.seed:
        text = rpt_("Its seed {seed} is more than the panel can hold.")
        notes.append(text.format(seed=job.seed))
    place = strips.find([scene], mask_uuid)
    panel.mask_strip = place.strip.name if place else ""
    if job.mask is not None:
        panel.mask_channel = job.mask.channel
        panel.use_invert_mask, panel.feather_px = job.mask.invert, job.mask.feather_px
        if place is None:
            notes.append(rpt_("Its mask strip is not in this scene: choose one."))
    return notes
