# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through others, never torch): a job's settings back into the panel."""

from __future__ import annotations

from typing import Any

from ..engine.job import EditJob
from . import mask_choice, method_fields, model_choice, settings
from .words import rpt_


def apply(scene: Any, job: EditJob, mask_key: str = "", mask_kind: str = "strip") -> list[str]:
    """Set `scene.delta_strip` as it was for a job.

    Args:
        scene: Gets the settings.
        job: Says them.
        mask_key: UUID of the mask strip or name of the mask, empty without one.
        mask_kind: What the mask is.

    Returns:
        Sentences about what could not be taken over.
    """
    panel = scene.delta_strip
    notes = []
    panel.source_prompt, panel.target_prompt = job.source_prompt, job.target_prompt
    panel.method = job.method
    method_fields.take_over(panel, job.settings)
    if (chosen := model_choice.chosen_name()) != job.backbone:
        model, other = model_choice.title_of(job.backbone), model_choice.title_of(chosen)
        notes.append(
            rpt_(
                "It was edited with the model {model}; {other} is chosen now.",
                model=model,
                other=other,
            )
        )
    panel.area_scale = job.area_scale
    panel.seed = min(job.seed, settings.SEED_MAX)
    if panel.seed != job.seed:
        notes.append(rpt_("Its seed {seed} is more than the panel can hold.", seed=job.seed))
    is_there = mask_choice.choose(scene, mask_kind, mask_key)
    if job.mask is not None:
        if mask_kind == "strip":
            panel.mask_channel = job.mask.channel
        panel.use_invert_mask, panel.feather_px = job.mask.invert, job.mask.feather_px
        if not is_there and mask_kind == "strip":
            notes.append(rpt_("Its mask strip is not in this scene: choose one."))
        elif not is_there:
            notes.append(rpt_("Its mask is not in this file: choose one."))
    return notes
