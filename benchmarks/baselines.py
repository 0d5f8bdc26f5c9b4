# SPDX-License-Identifier: GPL-3.0-or-later
"""Two editing methods without distillation, to compare with (torch, never bpy).

Noise-and-denoise: Meng et al., "SDEdit", ICLR 2022 (arXiv 2108.01073), section 3: noise the source
to t₀, z = alpha ẑ + sigma ε, and denoise from there with the target prompt. They integrate the
reverse SDE; here DDIM solves the corresponding ODE, which needs fewer steps for clean pictures.

DDIM inversion: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021 (arXiv 2010.02502),
Eq. 12 with η = 0 and, run the other way, their Eq. 14; editing with it as in Mokady et al.,
"Null-text Inversion" (arXiv 2211.09794), section 3: up with the source prompt and without guidance,
down with the target prompt and with it.

    z_s = alpha_s (z_t − sigma_t ε_φ) / alpha_t + sigma_s ε_φ                  t → s, either way
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.backbones.base import Backbone


@torch.no_grad()
def noise_and_denoise(
    backbone: Backbone,
    z_source: Tensor,
    noise: Tensor,
    target_prompt: str,
    *,
    strength: float,
    steps: int,
    guidance_scale: float,
) -> Tensor:
    """SDEdit.

    Args:
        backbone: The frozen model.
        z_source: Latents of the source, `(frames, channels, h, w)`.
        noise: ε, same shape.
        target_prompt: What should be there.
        strength: t₀ as a share of the schedule, above 0, at most 1.
        steps: Denoising steps from t₀ down.
        guidance_scale: ω of classifier-free guidance.

    Returns:
        Same shape as `z_source`.
    """
    times = timesteps(backbone, strength, steps)
    noised = backbone.add_noise(z_source, noise, times[-1])
    return denoise(backbone, noised, times, target_prompt, guidance_scale)


@torch.no_grad()
def invert_and_resample(
    backbone: Backbone,
    z_source: Tensor,
    source_prompt: str,
    target_prompt: str,
    *,
    steps: int,
    guidance_scale: float,
) -> Tensor:
    """DDIM inversion with the source prompt, then sampling with the target prompt.

    Args:
        backbone: The frozen model.
        z_source: Latents of the source, `(frames, channels, h, w)`.
        source_prompt: What is there.
        target_prompt: What should be there.
        steps: Steps each way, over the whole schedule.
        guidance_scale: ω of the way down.

    Returns:
        Same shape as `z_source`.
    """
    times = timesteps(backbone, 1.0, steps)
    noised = invert(backbone, z_source, times, source_prompt)
    return denoise(backbone, noised, times, target_prompt, guidance_scale)


def timesteps(backbone: Backbone, strength: float, steps: int) -> list[int]:
    """Ascending timesteps, evenly spaced, the last at `strength` of the schedule."""
    last = strength * (backbone.timesteps - 1)
    return [round(last * number / steps) for number in range(1, steps + 1)]


@torch.no_grad()
def invert(backbone: Backbone, latents: Tensor, times: list[int], prompt: str) -> Tensor:
    """From clean latents to the noise they are sampled from.

    ε_φ is asked at the timestep that is gone to, as on the way down; the latents there are not yet
    known, and those before stand in for them, which is the inversion's approximation.
    """
    text = backbone.embed([prompt])
    before = None
    for timestep in times:
        noise = backbone.noise_pred(latents[None], timestep, text)[0]
        latents = _moved(backbone, latents, noise, before, timestep)
        before = timestep
    return latents


@torch.no_grad()
def denoise(
    backbone: Backbone, latents: Tensor, times: list[int], prompt: str, guidance_scale: float
) -> Tensor:
    """From latents noised to the last of `times` to clean ones."""
    text = backbone.embed([prompt, ""])
    following = [None, *times[:-1]]
    for timestep, after in zip(reversed(times), reversed(following), strict=True):
        prompted, empty = backbone.noise_pred(torch.stack([latents] * 2), timestep, text)
        noise = empty + guidance_scale * (prompted - empty)
        latents = _moved(backbone, latents, noise, timestep, after)
    return latents


def _moved(
    backbone: Backbone, latents: Tensor, noise: Tensor, start: int | None, end: int | None
) -> Tensor:
    """Latents at `start` taken to `end` along the predicted noise; None is clean."""
    alpha, sigma = (1.0, 0.0) if start is None else backbone.alpha_sigma(start)
    clean = (latents - sigma * noise) / alpha
    alpha, sigma = (1.0, 0.0) if end is None else backbone.alpha_sigma(end)
    return alpha * clean + sigma * noise
