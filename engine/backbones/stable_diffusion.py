# SPDX-License-Identifier: GPL-3.0-or-later
"""Latent text-to-image models of the Stable Diffusion 1 family (torch, never bpy)."""

from __future__ import annotations

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from .latent_diffusion import LatentDiffusion


class StableDiffusion(LatentDiffusion):
    """Stable Diffusion 1.5's architecture; every frame of a clip is a picture for itself."""

    unet_class = UNet2DConditionModel

    def _predict(self, sample: Tensor, timestep: int, embeddings: Tensor) -> Tensor:
        text = embeddings.repeat_interleave(sample.shape[1], dim=0)
        pictures = sample.flatten(0, 1)
        prediction = self.unet(pictures, timestep, text, return_dict=False)[0]
        return prediction.unflatten(0, sample.shape[:2])
