# SPDX-License-Identifier: GPL-3.0-or-later
"""Latent text-to-video models of the ModelScope and Zeroscope family (torch, never bpy)."""

from __future__ import annotations

from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from torch import Tensor

from .latent_diffusion import LatentDiffusion


class TextToVideo(LatentDiffusion):
    """ModelScope's architecture: a spatial and temporal U-Net over latents of single frames."""

    unet_class = UNet3DConditionModel

    def _predict(self, sample: Tensor, timestep: int, embeddings: Tensor) -> Tensor:
        # diffusers: (branches, c, frames, h, w)
        prediction = self.unet(sample.transpose(1, 2), timestep, embeddings, return_dict=False)[0]
        return prediction.transpose(1, 2)
