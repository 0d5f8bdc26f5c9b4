# SPDX-License-Identifier: GPL-3.0-or-later
"""When to stop: what the model says of the clip (torch, never bpy).

A delta denoising score has no natural end: it depends on the model and on the two prompts. It is
therefore measured, with fixed seeded noise, by the model's preference

    P(z) = Σ_t E_ε m ⊙ (‖ε_φ(z_t, ŷ) − ε‖² − ‖ε_φ(z_t, y) − ε‖²) / alpha_t²

which is the evidence for the target prompt y against the source prompt ŷ of a diffusion classifier
(Li et al. 2023, arXiv 2303.16203) inside the mask. Dividing by alpha_t² makes it an error in v, so
that high noise, where colour and layout are decided, counts. P is negative for the source; the edit
is complete when the model prefers the target as much as it preferred the source: P(z) = −P(ẑ).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..backbones.base import Backbone
from ..guidance.randomness import frame_noise
from .windows import spread, tile

PROBE_SHARES = (0.15, 0.35, 0.55, 0.75)
"""Noise levels of the probes. Above 0.8 the measure no longer follows the edit: at 0.9 it moved
away from the target while the measured colour came closer (demo backbone, six colour edits)."""

PROBE_WINDOWS = 3
"""Windows of a long clip that are measured: enough for its beginning, middle and end."""


class Probes:
    """Fixed measurements of a clip's latents against both prompts.

    Args:
        backbone: The frozen model.
        embeddings: Source prompt and target prompt, `(2, tokens, features)`.
        mask: 1 = may change, `(frames, 1, h, w)`.
        media_frames: Index of each frame in its medium (keys the noise).
        seed: The job's seed.
        check: Called before each model call; raises to cancel.
    """

    def __init__(
        self,
        backbone: Backbone,
        embeddings: Tensor,
        mask: Tensor,
        *,
        media_frames: Sequence[int],
        seed: int,
        check: Callable[[], None],
    ) -> None:
        self._backbone = backbone
        self._embeddings = embeddings
        self._mask = mask
        self._media_frames = media_frames
        self._seed = seed
        self._check = check
        self.timesteps = [int(share * backbone.timesteps) for share in PROBE_SHARES]
        windows = tile(len(mask), backbone.card.window_frames, 0)
        touched = [w for w in windows if bool(mask[w.start : w.stop].any())]
        self.windows = spread(touched or windows, PROBE_WINDOWS)

    def preference(self, latents: Tensor) -> float:
        """P(z) of latents `(frames, channels, h, w)`; the same latents give the same number.

        Above zero when the target prompt explains the clip better.
        """
        places = itertools.product(range(len(self.timesteps)), self.windows)
        of_places = self._backbone.threads.map(partial(self._preference_at, latents), places)
        return math.fsum(of_places)

    @torch.no_grad()
    def _preference_at(self, latents: Tensor, place: tuple[int, range]) -> float:
        """One noise level's and one window's part of P(z)."""
        self._check()
        number, window = place
        timestep, rows = self.timesteps[number], slice(window.start, window.stop)
        alpha_t, _ = self._backbone.alpha_sigma(timestep)
        noise = frame_noise(
            self._seed,
            -1 - number,
            [self._media_frames[i] for i in window],
            (latents.shape[1], latents.shape[2], latents.shape[3]),
        ).to(latents)
        z_t = self._backbone.add_noise(latents[rows], noise, timestep)
        source_pred, target_pred = self._backbone.noise_pred(
            torch.stack([z_t, z_t]), timestep, self._embeddings
        )
        gain = (source_pred - noise) ** 2 - (target_pred - noise) ** 2
        return float((gain * self._mask[rows]).sum(dtype=torch.float64)) / alpha_t**2
