# SPDX-License-Identifier: GPL-3.0-or-later
"""DreamMotion: space-time self-similar score distillation (torch, never bpy).

Jeong et al., "DreamMotion", ECCV 2024 (arXiv 2403.12002):

    ∇L = m ⊙ ∇L_V-DDS + λ_s ∇L_S-SSM + λ_t ∇L_T-SSM

V-DDS is the delta denoising score of a clip (dds.py), masked per frame by m. S-SSM and T-SSM
(self_similarity.py) hold the keys of the decoder's spatial self-attention to those of the source,
in the passes that predict the noise with the prompts: same noise and timestep for all three terms.
V-DDS needs no backward pass; the other two have one through one pass of four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..backbones.base import Backbone, Recording
from .dds import Branch, delta_denoising_score
from .self_similarity import spatial_self_similarity, temporal_self_similarity


@dataclass(frozen=True)
class SimilarityWeights:
    """λ_s and λ_t."""

    spatial: float
    temporal: float


def dreammotion_gradient(
    backbone: Backbone,
    source: Branch,
    target: Branch,
    *,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    weights: SimilarityWeights,
    sites: Sequence[str],
    mask: Tensor | None = None,
    mask_similarity: bool = False,
) -> Tensor:
    """The gradient of DreamMotion's loss on the target latents.

    Without either similarity it is the delta denoising score and costs what that costs.

    Args:
        backbone: The frozen model.
        source: Frozen source latents and source prompt.
        target: Optimised target latents and target prompt.
        noise: ε, of both branches and all terms, `(frames, channels, h, w)`.
        timestep: t, likewise.
        guidance_scale: ω, of both branches.
        weights: λ_s and λ_t.
        sites: Self-attention layers whose keys are compared.
        mask: m, 1 = may change, `(frames, 1, h, w)`; none: everywhere.
        mask_similarity: Mask the similarity terms too; the paper masks V-DDS only.

    Returns:
        `(frames, channels, h, w)`.
    """
    if weights.spatial == 0 and weights.temporal == 0:
        return delta_denoising_score(
            backbone,
            source,
            target,
            noise=noise,
            timestep=timestep,
            guidance_scale=guidance_scale,
            mask=mask,
        )
    passes = _run(backbone, source, target, noise, timestep, guidance_scale, sites)
    loss = weights.spatial * passes.spatial + weights.temporal * passes.temporal
    (similarity,) = torch.autograd.grad(loss, passes.latents)
    if mask is None:
        return passes.delta + similarity
    if mask_similarity:
        return (passes.delta + similarity) * mask
    return passes.delta * mask + similarity


def term_norms(
    backbone: Backbone,
    source: Branch,
    target: Branch,
    *,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    sites: Sequence[str],
    mask: Tensor,
    mask_similarity: bool = False,
) -> tuple[float, float, float]:
    """‖m ⊙ ∇L_V-DDS‖, ‖∇L_S-SSM‖ and ‖∇L_T-SSM‖, to weigh the terms against each other.

    Arguments as of `dreammotion_gradient`.
    """
    passes = _run(backbone, source, target, noise, timestep, guidance_scale, sites)
    (spatial,) = torch.autograd.grad(passes.spatial, passes.latents, retain_graph=True)
    (temporal,) = torch.autograd.grad(passes.temporal, passes.latents)
    if mask_similarity:
        spatial, temporal = spatial * mask, temporal * mask
    return float((passes.delta * mask).norm()), float(spatial.norm()), float(temporal.norm())


@dataclass(frozen=True)
class _Passes:
    """What the passes of one step leave."""

    latents: Tensor
    """Where the graph of both losses begins."""
    delta: Tensor
    """∇L_V-DDS, without a graph."""
    spatial: Tensor
    """L_S-SSM, mean over the sites."""
    temporal: Tensor
    """L_T-SSM, mean over the sites."""


def _run(
    backbone: Backbone,
    source: Branch,
    target: Branch,
    noise: Tensor,
    timestep: int,
    guidance_scale: float,
    sites: Sequence[str],
) -> _Passes:
    """Four passes, one of them with a graph; noise prediction and keys come from the same ones.

    Each is a call of its own, so that source and target meet the same shapes and equal branches
    give exactly equal numbers.
    """
    source_record, target_record = Recording(sites), Recording(sites)
    with torch.no_grad():
        source_t = backbone.add_noise(source.latents, noise, timestep)[None]
        source_pred = backbone.noise_pred(
            source_t, timestep, source.embeddings[:1], record=source_record
        )
    with torch.enable_grad():
        latents = target.latents.detach().requires_grad_()
        target_t = backbone.add_noise(latents, noise, timestep)[None]
        target_pred = backbone.noise_pred(
            target_t, timestep, target.embeddings[:1], record=target_record
        ).detach()
        pairs = [(target_record.keys[site], source_record.keys[site]) for site in sites]
        spatial = torch.stack([spatial_self_similarity(*pair) for pair in pairs]).mean()
        temporal = torch.stack([temporal_self_similarity(*pair) for pair in pairs]).mean()
    with torch.no_grad():
        if guidance_scale != 1:
            source_empty = backbone.noise_pred(source_t, timestep, source.embeddings[1:])
            target_empty = backbone.noise_pred(target_t.detach(), timestep, target.embeddings[1:])
            source_pred = source_empty + guidance_scale * (source_pred - source_empty)
            target_pred = target_empty + guidance_scale * (target_pred - target_empty)
    return _Passes(latents, (target_pred - source_pred)[0], spatial, temporal)
