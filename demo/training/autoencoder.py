# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: the autoencoder, on single frames, with latents that stay where they are put.

A convolutional autoencoder with group normalisation is not local: statistics of the whole picture
enter every place, so an edit of some latents changes pixels far away. Half of every batch is
therefore decoded from latents of which a part was replaced by another picture's, and has to give
the two pictures, each in its part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Generator, Tensor
from torch.nn import functional

from demo.training.clips import shards, to_signed
from demo.training.plan import FRAMES, SIZE_SHARES, Plan
from demo.training.workers import Worker

_ABSOLUTE, _KL = 0.1, 1e-4
_OBJECT_WEIGHT = 4.0
"""How much more than the background's an object's pixels count."""
_FACTOR = 4


class AutoencoderTask:
    """Loss of the autoencoder on random frames.

    Args:
        vae: What is trained.
        folder: The clips.
        plan: Sizes and batches.
        worker: This process.
    """

    def __init__(self, vae: AutoencoderKL, folder: Path, plan: Plan, worker: Worker) -> None:
        self._vae = vae
        self._batch = plan.autoencoder.batch
        self._shards = shards(folder, plan)
        self._worker, self._device = worker, worker.device
        self._seed = plan.seed

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a step and what the log says about it; half of the batch is decoded mixed."""
        pictures, weights = self._draw(step, generator)
        with self._worker.fast_arithmetic():
            posterior = self._vae.encode(pictures, return_dict=False)[0]
            noise = torch.randn(posterior.mean.shape, generator=generator).to(self._device)
            latents = posterior.mean + posterior.std * noise
            mixed = len(pictures) // 2
            latents, pictures, weights = _mix(latents, pictures, weights, mixed, generator)
            decoded = decode(self._vae, latents)
        error = decoded.float() - pictures
        weights = weights / weights.mean()
        fit = (weights * (error.square() + _ABSOLUTE * error.abs())).mean()
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss, plain = fit + _KL * kl, error[mixed:].square().mean().detach()
        told = {"loss": loss.detach(), "psnr": 10 * torch.log10(4 / plain), "kl": kl.detach()}
        return loss, told

    def _draw(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Frames (n, 3, h, w) in [-1, 1] of one size, and weights (n, 1, h, w)."""
        shard = self._shards[draw_shard(self._seed, step)]
        clips = torch.randint(shard.count, (self._batch,), generator=generator).numpy()
        frames = torch.randint(FRAMES, (self._batch,), generator=generator).numpy()
        levels = shard.array("frames")[clips, frames]
        alpha = torch.from_numpy(np.array(shard.array("alpha")[clips, frames])).float() / 255
        near = functional.max_pool2d(alpha[:, None], 5, 1, 2).to(self._device)
        return to_signed(levels, self._device), 1 + _OBJECT_WEIGHT * near


def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pictures (n, 3, h, w), about [-1, 1], of unscaled latents (n, 4, h/4, w/4)."""
    # Any: diffusers annotates both ends of this call with classes that never occur.
    run: Any = vae.decode
    return run(latents, return_dict=False)[0]


def draw_shard(seed: int, step: int) -> int:
    """The number of a picture size, at random by its share; all processes work on the same one.

    Otherwise they would wait for the one with the larger pictures.
    """
    rng = np.random.Generator(np.random.PCG64([seed, step]))
    return int(rng.choice(len(SIZE_SHARES), p=SIZE_SHARES))


def _mix(
    latents: Tensor, pictures: Tensor, weights: Tensor, count: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Put a rectangle of the following picture into each of the first `count` ones.

    Pixels within one latent of the rectangle's edge are not judged: there both pictures meet.
    """
    rows, columns = latents.shape[-2:]
    masks = torch.zeros(count, 1, rows, columns)
    for mask in masks:
        height, width = (
            int(torch.randint(2, side - 1, (1,), generator=generator)) for side in (rows, columns)
        )
        top = int(torch.randint(rows - height + 1, (1,), generator=generator))
        left = int(torch.randint(columns - width + 1, (1,), generator=generator))
        mask[0, top : top + height, left : left + width] = 1
    masks = masks.to(latents.device)
    edge = functional.max_pool2d(masks, 3, 1, 1) - (1 - functional.max_pool2d(1 - masks, 3, 1, 1))

    def large(values: Tensor) -> Tensor:
        return functional.interpolate(values, scale_factor=_FACTOR, mode="nearest")

    others = torch.arange(count).roll(-1)
    inside, judged = large(masks), 1 - large(edge)

    def merged(values: Tensor, mask: Tensor) -> Tensor:
        first = values[:count]
        return torch.cat([torch.where(mask > 0, first[others], first), values[count:]])

    weights = merged(weights, inside)
    weights = torch.cat([weights[:count] * judged, weights[count:]])
    return merged(latents, masks), merged(pictures, inside), weights
