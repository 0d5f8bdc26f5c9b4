# SPDX-License-Identifier: GPL-3.0-or-later
"""A text-to-video model as an image model: its temporal layers left out (torch, never bpy).

Only for weights that were trained to work that way, as the demo backbone's are; others would see
activations their spatial layers never met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from torch import Tensor

from ..errors import BackboneError
from .base import Backbone, Fusion, Recording
from .text_to_video import TextToVideo


def _same(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    return hidden_states


def _same_alone(hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
    return (hidden_states,)


@contextmanager
def temporal_layers_bypassed(unet: UNet3DConditionModel) -> Iterator[None]:
    """Inside, every temporal convolution and attention of the U-Net passes its input through.

    What is left works on each frame for itself.
    """
    layers = [m for m in unet.modules() if isinstance(m, TransformerTemporalModel)]
    convolutions = [m for m in unet.modules() if isinstance(m, TemporalConvLayer)]
    for layer in layers:
        layer.forward = _same_alone  # type: ignore[method-assign]
    for convolution in convolutions:
        convolution.forward = _same  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in (*layers, *convolutions):
            del module.forward  # the class's own is seen again


class ImageMode(Backbone):
    """The image model inside a text-to-video model; they share weights, latents and prompts.

    Args:
        video: The model whose temporal layers are left out.

    Raises:
        BackboneError: the model's card does not say that it was trained to work this way.
    """

    def __init__(self, video: TextToVideo) -> None:
        if not video.card.image_mode:
            raise BackboneError(
                f"{video.card.title} has no image mode: its weights were trained on clips only.",
                hint="Use an image model of its own, or the demo backbone.",
            )
        self._video = video
        self.card = video.card
        self.device = video.device
        self.alphas_cumprod = video.alphas_cumprod
        self.latent_factor = video.latent_factor
        self.latent_channels = video.latent_channels
        self.checkpointing = video.checkpointing
        self.scaling_factor = video.scaling_factor
        self.token_limit = video.token_limit

    def token_count(self, prompt: str) -> int:
        """See `Backbone.token_count`."""
        return self._video.token_count(prompt)

    def encode(self, frames: Tensor) -> Tensor:
        """See `Backbone.encode`."""
        return self._video.encode(frames)

    def decode(self, latents: Tensor) -> Tensor:
        """See `Backbone.decode`."""
        return self._video.decode(latents)

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """See `Backbone.embed`."""
        return self._video.embed(prompts)

    @property
    def sites(self) -> tuple[str, ...]:
        """See `Backbone.sites`."""
        return self._video.sites

    def noise_pred(
        self,
        z_t: Tensor,
        timestep: int,
        embeddings: Tensor,
        *,
        record: Recording | None = None,
        fuse: Fusion | None = None,
    ) -> Tensor:
        """See `Backbone.noise_pred`; every frame is predicted for itself."""
        with temporal_layers_bypassed(self._video.unet):
            return self._video.noise_pred(z_t, timestep, embeddings, record=record, fuse=fuse)
