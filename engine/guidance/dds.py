# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta Denoising Score (torch, never bpy).

Hertz, Aberman & Cohen-Or, "Delta Denoising Score", ICCV 2023 (arXiv 2304.07090), Eq. 3:

    ∇L_DDS = ε_φ^ω(z_t, y, t) − ε_φ^ω(ẑ_t, ŷ, t)

with z the target latents and y the target prompt, ẑ and ŷ the source's, the same noise ε and
timestep t in both branches, and classifier-free guidance of weight ω in both. The U-Net's Jacobian
is dropped, as in score distillation, so no backward pass is needed. DreamMotion (arXiv 2403.12002)
uses the same on video and multiplies it with a binary mask m per frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..backbones.base import Backbone, Fusion, Recording


@dataclass(frozen=True)
class Branch:
    """One side of the comparison.

    Attributes:
        latents: Clean latents `(frames, channels, h, w)`.
        embeddings: Of its prompt and of the empty prompt, `(2, tokens, features)`.
    """

    latents: Tensor
    embeddings: Tensor


@torch.no_grad()
def guided_noise_pred(
    backbone: Backbone,
    branch: Branch,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    *,
    record: Recording | None = None,
    fuse: Fusion | None = None,
) -> Tensor:
    """ε^ω = ε_∅ + ω (ε_y − ε_∅): classifier-free guidance (Ho & Salimans 2022, Eq. 6).

    At ω = 1 the empty prompt's prediction drops out of the equation, so it is not made.

    Returns:
        `(frames, channels, h, w)`.
    """
    z_t = backbone.add_noise(branch.latents, noise, timestep)
    if guidance_scale == 1:
        return backbone.noise_pred(
            z_t[None], timestep, branch.embeddings[:1], record=record, fuse=fuse
        )[0]
    prompt, empty = backbone.noise_pred(
        torch.stack([z_t, z_t]), timestep, branch.embeddings, record=record, fuse=fuse
    )
    return empty + guidance_scale * (prompt - empty)


def delta_denoising_score(
    backbone: Backbone,
    source: Branch,
    target: Branch,
    *,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    mask: Tensor | None = None,
) -> Tensor:
    """The gradient of the delta denoising score on the target latents.

    Both branches are separate calls of one shape, so equal branches give exactly equal numbers and
    a gradient of exactly zero (one batch of four would differ in its last bits between its slots on
    some thread counts).

    Args:
        backbone: The frozen model.
        source: Frozen source latents and source prompt.
        target: Optimised target latents and target prompt.
        noise: ε, shared, `(frames, channels, h, w)`.
        timestep: t, shared.
        guidance_scale: ω, of both branches.
        mask: m, 1 = may change, `(frames, 1, h, w)`; none: everywhere.

    Returns:
        `(frames, channels, h, w)`.
    """
    target_pred = guided_noise_pred(backbone, target, noise, timestep, guidance_scale)
    source_pred = guided_noise_pred(backbone, source, noise, timestep, guidance_scale)
    gradient = target_pred - source_pred
    return gradient if mask is None else gradient * mask
