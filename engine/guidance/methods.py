# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job's method to its guidance (torch, never bpy)."""

from __future__ import annotations

from ..backbones.base import Backbone
from ..job import EditSettings, Method
from .assd import AdaptiveSliding
from .base import Guidance
from .dds import DeltaDenoising
from .dreammotion import DreamMotion
from .sds import ScoreDistillation


def make_guidance(
    method: Method,
    backbone: Backbone,
    prompts: tuple[str, str],
    settings: EditSettings,
    *,
    image_backbone: Backbone | None = None,
) -> Guidance:
    """The guidance of a job.

    Args:
        method: Its name.
        backbone: The frozen text-to-video model.
        prompts: Source prompt and target prompt.
        settings: Numbers of the loop and of the method.
        image_backbone: The image model of `assd`.

    Raises:
        InvalidJobError: a setting does not fit the backbone.
    """
    if method == "assd":
        return AdaptiveSliding(backbone, prompts, settings, image_backbone)
    simple = {"sds": ScoreDistillation, "dds": DeltaDenoising, "dreammotion": DreamMotion}
    return simple[method](backbone, prompts, settings)
