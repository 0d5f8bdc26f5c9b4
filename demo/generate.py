# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips out of nothing but captions, to see what a backbone knows (torch, never bpy)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from engine.backbones.base import Backbone


@torch.no_grad()
def generate(
    backbone: Backbone,
    captions: Sequence[str],
    *,
    seed: int,
    width: int = 64,
    height: int = 64,
    frames: int = 8,
    steps: int = 20,
    guidance_scale: float = 4.0,
) -> Tensor:
    """Sample a clip for every caption with DDIM (Song et al. 2021, Eq. 12, η = 0).

    Args:
        backbone: What is asked.
        captions: What is to be seen.
        seed: Of the noise the first clip begins with; the others have the seeds after it.
        width: px, a multiple of the backbone's.
        height: px, a multiple of the backbone's.
        frames: At most the backbone's window.
        steps: Denoising steps.
        guidance_scale: ω of classifier-free guidance.

    Returns:
        `(captions, frames, 3, height, width)` in [0, 1].
    """
    scheduler = DDIMScheduler(
        num_train_timesteps=backbone.timesteps,
        trained_betas=_betas(backbone.alphas_cumprod).tolist(),
        prediction_type="epsilon",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    scheduler.set_timesteps(steps)
    shape = (frames, backbone.latent_channels, height // backbone.latent_factor)
    shape = (*shape, width // backbone.latent_factor)
    empty = backbone.embed([""])
    clips = []
    for number, caption in enumerate(captions):
        generator = torch.Generator().manual_seed(seed + number)
        latents = torch.randn(shape, generator=generator).to(backbone.device)
        embeddings = torch.cat([backbone.embed([caption]), empty])
        for timestep in scheduler.timesteps.tolist():
            both = torch.stack([latents, latents])
            prompt, none = backbone.noise_pred(both, timestep, embeddings)
            noise = none + guidance_scale * (prompt - none)
            latents = scheduler.step(noise, timestep, latents, return_dict=False)[0]
        clips.append(backbone.decode(latents))
    return torch.stack(clips)


def _betas(alphas_cumprod: Tensor) -> Tensor:
    """β_t of a noise schedule given by ᾱ_t."""
    before = torch.cat([torch.ones(1, dtype=alphas_cumprod.dtype), alphas_cumprod[:-1]])
    return 1 - alphas_cumprod / before
