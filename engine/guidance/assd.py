# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive Sliding Score Distillation (torch, never bpy).

Zhu et al., "Zero-Shot Video Editing through Adaptive Sliding Score Distillation" (arXiv 2406.04888,
version 1). With ε and ε̂ the guided predictions of target and source branch:

    SS(ε̂)^i = γ₋ ε̂^{i−1} + γ₀ ε̂^i + γ₊ ε̂^{i+1}                                     (Eq. 8)
    m = 1 where |ε − ε̂| < max over frames |ε − ε̂| − τ, else 0                        (Eq. 9)
    ∇L_ASSD = m ⊙ (ε − SS(ε̂)) + (1 − m) ⊙ (ε − ε̂)                                   (Eq. 10)
    ∇L = ∇L_ASSD + Σ_i (ε_Ω(z_t^i, y) − ε_Ω(ẑ_t^i, ŷ))                              (Eq. 14, 15)

Ω is an image model that looks at each frame for itself. In the target branch the last spatial
self-attention layers also attend to the source branch's keys and values (Eq. 11 to 13,
backbones/attention.py).

Left open by the paper, decided here: γ at a window's ends is renormalised; τ is a share of the
standard deviation of |ε − ε̂| over the window, in and outside the mask, because its scale depends on
ω and t; the maximum is taken per channel and place; prompt attends to prompt and empty to empty
prompt; the image model has the same noise and timestep, and no fusion. Eq. 9 as printed (`below`)
smooths frames that lag behind the strongest change at a place, and leaves quiet places alone; the
text's own description fits the opposite sign (`above`), which is the other reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..backbones.base import Backbone, Fusion, Recording
from .dds import Branch, delta_denoising_score, guided_noise_pred

Reading = Literal["below", "above"]


@dataclass(frozen=True)
class Sliding:
    """Eq. 8 and 9.

    Attributes:
        centre: γ₀, of the frame itself; its neighbours share the rest. 1 smooths nothing.
        threshold: τ, in standard deviations of |ε − ε̂|.
        reading: Which side of the threshold is smoothed.
    """

    centre: float
    threshold: float
    reading: Reading = "below"


@dataclass(frozen=True)
class ImageGuidance:
    """Eq. 14 and 15.

    Attributes:
        backbone: ε_Ω.
        source: The source's latents, with this model's embeddings of the source prompt.
        target: Likewise the target's.
        weight: Of its gradient; the paper has 1.
    """

    backbone: Backbone
    source: Branch
    target: Branch
    weight: float


@torch.no_grad()
def adaptive_sliding_score(
    backbone: Backbone,
    source: Branch,
    target: Branch,
    *,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    sliding: Sliding,
    fused_sites: Sequence[str] = (),
    self_weight: float = 1.0,
    image: ImageGuidance | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The gradient of adaptive sliding score distillation on the target latents.

    Args:
        backbone: The frozen text-to-video model.
        source: Frozen source latents and source prompt.
        target: Optimised target latents and target prompt.
        noise: ε, shared, `(frames, channels, h, w)`.
        timestep: t, shared.
        guidance_scale: ω, of both branches and of the image model.
        sliding: Smoothing of the source branch.
        fused_sites: Layers of the target branch that attend to the source branch too.
        self_weight: λ, the share of the attention to oneself in them; 1 fuses nothing.
        image: Joint guidance by an image model; none: without.
        mask: 1 = may change, `(frames, 1, h, w)`; none: everywhere.

    Returns:
        `(frames, channels, h, w)`.
    """
    record = Recording(fused_sites if self_weight != 1 else (), with_values=True)
    source_pred = guided_noise_pred(
        backbone, source, noise, timestep, guidance_scale, record=record
    )
    fusion = Fusion(record, self_weight) if record.sites else None
    target_pred = guided_noise_pred(backbone, target, noise, timestep, guidance_scale, fuse=fusion)
    delta = target_pred - source_pred
    # m ⊙ (ε − SS(ε̂)) + (1 − m) ⊙ (ε − ε̂), written so that m = 0 leaves the difference as it is.
    correction = source_pred - smoothed(source_pred, sliding.centre)
    gradient = delta + torch.where(smoothing_mask(delta, sliding), correction, 0.0)
    if image is not None and image.weight:
        gradient = gradient + image.weight * delta_denoising_score(
            image.backbone,
            image.source,
            image.target,
            noise=noise,
            timestep=timestep,
            guidance_scale=guidance_scale,
        )
    return gradient if mask is None else gradient * mask


def smoothed(prediction: Tensor, centre: float) -> Tensor:
    """Eq. 8: each frame of `(frames, …)` with its neighbours, weights renormalised at both ends."""
    side = (1 - centre) / 2
    total = centre * prediction
    weight = torch.full((len(prediction), *[1] * (prediction.ndim - 1)), centre).to(prediction)
    for near, far in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        total[near] += side * prediction[far]
        weight[near] += side
    return total / weight


def smoothing_mask(delta: Tensor, sliding: Sliding) -> Tensor:
    """Eq. 9: where the source branch is smoothed, boolean, the shape of `delta` (frames first)."""
    size = delta.abs()
    limit = size.amax(dim=0, keepdim=True) - sliding.threshold * size.std(correction=0)
    return size < limit if sliding.reading == "below" else size > limit
