# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface between a guidance and a diffusion model (torch, never bpy).

Parametrisation (epsilon, v) and the autoencoder's scaling end here: a guidance only ever sees
predicted noise and unit-scale latents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..registry import BackboneCard
from .parallel import Threads


@dataclass
class Recording:
    """Keys, and values, of some self-attention layers, filled by one pass.

    Attributes:
        sites: What to record; see `Backbone.sites`.
        with_values: Whether values are kept too.
        keys: By site, `(branches · frames, places, channels)`; on the graph of a pass that has one.
        values: Likewise.
    """

    sites: Sequence[str]
    with_values: bool = False
    keys: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Fusion:
    """Attention to another pass, mixed into the attention to oneself.

    Attributes:
        other: Its keys and values; its branches must be this pass's, in the same order.
        self_weight: λ, the share of the attention to oneself.
    """

    other: Recording
    self_weight: float


class Backbone(ABC):
    """Frozen diffusion model + autoencoder + text encoder.

    Attributes:
        card: Its description.
        device: Where its arithmetic runs.
        checkpointing: Whether a pass with a graph keeps less and its backward pass works more.
        threads: Make calls side by side; more than one of them only on a CPU.
        alphas_cumprod: ᾱ_t of the noise schedule, `(timesteps,)`, float64 on the CPU.
        latent_factor: Pixels per latent, in each direction.
        latent_channels: Numbers of a latent.
        scaling_factor: What the autoencoder's latents are multiplied with.
        token_limit: Most tokens of a prompt that have an effect, start and end included.
    """

    card: BackboneCard
    device: torch.device
    checkpointing: bool
    threads: Threads = Threads()
    alphas_cumprod: Tensor
    latent_factor: int
    latent_channels: int
    scaling_factor: float
    token_limit: int

    @abstractmethod
    def token_count(self, prompt: str) -> int:
        """Tokens of a prompt, start and end included."""

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """Latents of frames: the posterior's mean, no random number is drawn.

        Args:
            frames: `(frames, 3, H, W)` in [0, 1].

        Returns:
            `(frames, channels, h, w)`, of about unit variance.
        """

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Frames `(frames, 3, H, W)` in [0, 1] of latents `(frames, channels, h, w)`."""

    @abstractmethod
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Text embeddings `(prompts, tokens, features)`."""

    @abstractmethod
    def noise_pred(
        self,
        z_t: Tensor,
        timestep: int,
        embeddings: Tensor,
        *,
        record: Recording | None = None,
        fuse: Fusion | None = None,
    ) -> Tensor:
        """Predicted noise, same shape as `z_t`; its graph reaches `z_t` where that needs one.

        Args:
            z_t: Noised latents `(branches, frames, channels, h, w)`.
            timestep: Index of the noise schedule.
            embeddings: One text embedding a branch, `(branches, tokens, features)`.
            record: Filled with keys and values of the pass.
            fuse: Self-attention that also looks at an earlier pass.
        """

    @property
    @abstractmethod
    def sites(self) -> tuple[str, ...]:
        """The decoder's spatial self-attention layers, first to last; see `attention`."""

    @property
    def timesteps(self) -> int:
        """Number of timesteps of the noise schedule."""
        return len(self.alphas_cumprod)

    def alpha_sigma(self, timestep: int) -> tuple[float, float]:
        """alpha_t = √ᾱ_t and sigma_t = √(1 − ᾱ_t)."""
        alpha_bar = float(self.alphas_cumprod[timestep])
        return alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """z_t = alpha_t · z + sigma_t · ε (Ho et al. 2020, Eq. 4)."""
        alpha_t, sigma_t = self.alpha_sigma(timestep)
        return alpha_t * latents + sigma_t * noise
