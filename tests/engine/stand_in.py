# SPDX-License-Identifier: GPL-3.0-or-later
"""A small deterministic backbone whose every number can be recomputed with NumPy."""

from pathlib import Path

import numpy as np
import torch

from engine.backbones.base import Backbone
from engine.registry import BackboneCard

CARD = BackboneCard(
    folder=Path("stand-in"),
    id="stand-in",
    title="Stand-in",
    kind="stand-in",
    licence="GPL-3.0-or-later",
    window_frames=4,
    working_pixels=64,
    size_multiple=4,
    note="",
    recommended_settings=(),
)
WORDS = {"": 0.0, "a red ball": 0.7, "a blue ball": -0.4, "nothing here": 0.1}


def predict(z_t, timestep, text):
    """The model's formula; works on NumPy arrays: z_t (..., c, h, w), one number for the prompt."""
    return np.tanh(0.8 * z_t + 0.3 * text) + 0.1 * text * np.cos(timestep / 100) * z_t


class StandIn(Backbone):
    """predict() as a backbone; latents are the picture's own pixels."""

    def __init__(self):
        self.card = CARD
        self.device = torch.device("cpu")
        self.alphas_cumprod = torch.linspace(0.999, 0.01, 1000, dtype=torch.float64)
        self.latent_factor = 1
        self.token_limit = 8
        self.calls = []

    def token_count(self, prompt):
        return len(prompt.split())

    def encode(self, frames):
        return frames * 2 - 1

    def decode(self, latents):
        return (latents / 2 + 0.5).clamp(0, 1)

    def embed(self, prompts):
        return torch.tensor([WORDS[p] for p in prompts], dtype=torch.float64)[:, None, None]

    def noise_pred(self, z_t, timestep, embeddings):
        self.calls.append((tuple(z_t.shape), timestep))
        text = embeddings[:, 0, 0].numpy().reshape(-1, 1, 1, 1, 1)
        return torch.from_numpy(predict(z_t.double().numpy(), timestep, text)).to(z_t.dtype)
