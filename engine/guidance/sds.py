# SPDX-License-Identifier: GPL-3.0-or-later
"""Score Distillation Sampling (torch, never bpy).

Poole et al., "DreamFusion", ICLR 2023 (arXiv 2209.14988), Eq. 3, with weight w(t) = 1 and the
U-Net's Jacobian dropped as there:

    ∇L_SDS = ε_φ^ω(z_t, y, t) − ε

It has no source branch: whatever the model finds unlikely is pulled towards the likely, which
over-saturates and washes out what the prompt does not mention. It is here to be compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..backbones.base import Backbone
from .dds import Branch, guided_noise_pred


@torch.no_grad()
def score_distillation(
    backbone: Backbone,
    target: Branch,
    *,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    mask: Tensor | None = None,
) -> Tensor:
    """The gradient of score distillation sampling on the target latents.

    Args:
        backbone: The frozen model.
        target: Optimised target latents and target prompt.
        noise: ε, `(frames, channels, h, w)`.
        timestep: t.
        guidance_scale: ω.
        mask: m, 1 = may change, `(frames, 1, h, w)`; none: everywhere.

    Returns:
        `(frames, channels, h, w)`.
    """
    gradient = guided_noise_pred(backbone, target, noise, timestep, guidance_scale) - noise
    return gradient if mask is None else gradient * mask
