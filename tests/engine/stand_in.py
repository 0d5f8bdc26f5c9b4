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


SITES = ("up_blocks.0.attentions.0", "up_blocks.1.attentions.0")
KEY_CHANNELS = 5


def predict(z_t, timestep, text):
    """The model's formula; works on NumPy arrays: z_t (..., c, h, w), one number for the prompt."""
    return np.tanh(0.8 * z_t + 0.3 * text) + 0.1 * text * np.cos(timestep / 100) * z_t


def values_of(z_t):
    """What a site attends to: (frames, places, channels) of NumPy arrays (frames, c, h, w)."""
    return np.tanh(0.5 * z_t).reshape(*z_t.shape[:2], -1).swapaxes(1, 2)


def key_matrix(site, channels):
    """Fixed weights (channels, KEY_CHANNELS) of a site."""
    row, column = np.mgrid[:channels, :KEY_CHANNELS]
    return np.cos(1.7 * row + 0.9 * column + 0.5 * SITES.index(site))


def keys_of(z_t, text, site):
    """Keys of a site: (frames, places, KEY_CHANNELS) of NumPy arrays (frames, c, h, w)."""
    return values_of(z_t + 0.2 * text) @ key_matrix(site, z_t.shape[1]) + 0.3 * text


class StandIn(Backbone):
    """predict() as a backbone; latents are the picture's own pixels."""

    def __init__(self):
        self.card = CARD
        self.device = torch.device("cpu")
        self.alphas_cumprod = torch.linspace(0.999, 0.01, 1000, dtype=torch.float64)
        self.latent_factor = 1
        self.latent_channels = 3
        self.checkpointing = False
        self.scaling_factor = 1.0
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

    @property
    def sites(self):
        return SITES

    def noise_pred(self, z_t, timestep, embeddings, *, record=None, fuse=None):
        """predict(), and with a fusion 0.2 times what it changes in the sum of the sites' values.

        In torch, so that it can be differentiated.
        """
        self.calls.append((tuple(z_t.shape), timestep))
        text = embeddings[:, 0, 0].reshape(-1, 1, 1, 1, 1)
        exact = z_t.double()
        pred = torch.tanh(0.8 * exact + 0.3 * text) + 0.1 * text * np.cos(timestep / 100) * exact
        for site in record.sites if record else ():
            moved = torch.tanh(0.5 * (exact + 0.2 * text)).flatten(0, 1).flatten(2).mT
            weights = torch.from_numpy(key_matrix(site, z_t.shape[2]))
            shift = text.reshape(-1, 1, 1).repeat_interleave(z_t.shape[1], dim=0)
            record.keys[site] = moved @ weights + 0.3 * shift
            record.values[site] = torch.tanh(0.5 * exact).flatten(0, 1).flatten(2).mT
        for site in fuse.other.sites if fuse else ():
            own = torch.tanh(0.5 * exact).flatten(0, 1).flatten(2).mT
            change = (1 - fuse.self_weight) * (fuse.other.values[site] - own)
            pred = pred + 0.2 * change.mT.reshape(pred.shape)
        return pred.to(z_t.dtype)
