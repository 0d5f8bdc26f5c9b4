# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3: what a caption says of a clip that is still all noise, above all how an object moves.

At nearly pure noise the best prediction is the mean of all clips that the caption fits, so the mean
is the target here: the gradient points where single clips' gradients point on average, without
their scatter. The way is a product of word, frame and place, of which no two say anything, and so
has no gradient to begin with. It is therefore taught one way first, then two, then all of them: a
curriculum (Bengio et al. 2009, "Curriculum learning").
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Generator, Tensor

from demo.backgrounds import BACKGROUNDS, Background
from demo.grammar import caption
from demo.motion import Motion
from demo.sampling import CAMOUFLAGE, sample_spec
from demo.spec import ClipSpec, Color
from demo.training.clips import encode, made_once, to_tokens
from demo.training.denoiser import predict_velocity
from demo.training.export import Parts
from demo.training.models import TIMESTEPS
from demo.training.plan import FRAMES, SIZES, Plan
from demo.training.workers import Worker
from demo.world import render

_FILE, _MARK = "means.npy", "means.done.json"
_FIRST_SEED = 9_000_000
_LEAST = 930
"""Timestep from which on clips count as noise: there 1 % of them is left."""
MOTIONS: tuple[Motion, ...] = get_args(Motion)
# From which step on which ways are taught.
LESSONS: tuple[tuple[int, tuple[Motion, ...]], ...] = (
    (0, ("left",)),
    (84, ("left", "right")),
    (315, MOTIONS),
)
GROUPS: tuple[tuple[Background, Color], ...] = tuple(
    (background, color)
    for background in BACKGROUNDS
    for color in get_args(Color)
    if (color, background) not in CAMOUFLAGE
)
"""What is told apart besides the way; shape and size are whatever they are."""


def average_clips(worker: Worker, folder: Path, plan: Plan, vae: AutoencoderKL) -> Iterable[float]:
    """Write the mean latents of every way and group; yields the share that is done.

    The clips are of the first picture size, with one object and a still camera.
    """
    if not plan.prior.steps:
        return
    width, height = SIZES[0]
    shape = (len(MOTIONS), len(GROUPS), FRAMES, 4, height // 4, width // 4)

    def rows() -> Iterable[float]:
        means = _means(folder, "r+")
        every = list(np.ndindex(shape[:2]))
        for index in range(worker.rank, len(every), worker.world):
            motion, group = every[index]
            first = _FIRST_SEED + index * plan.prior_clips
            specs = [
                _spec(seed, MOTIONS[motion], group)
                for seed in range(first, first + plan.prior_clips)
            ]
            frames = np.stack([render(spec).frames for spec in specs])
            mean = encode(vae, frames).mean(0) * vae.config["scaling_factor"]
            means[motion, group] = mean.cpu().numpy()
            yield (index + 1) / len(every)

    wanted = {"clips": plan.prior_clips, "seed": plan.seed}
    yield from made_once(
        worker,
        folder / _MARK,
        wanted,
        lambda: open_memmap(folder / _FILE, "w+", np.float16, shape),
        rows,
    )


def _means(folder: Path, mode: Literal["r", "r+"]) -> NDArray[np.float16]:
    """The file of `average_clips` (ways, groups, frames, 4, h, w), mapped into memory."""
    return np.load(folder / _FILE, mmap_mode=mode, allow_pickle=False)  # numbers, and nothing else


def _spec(seed: int, motion: Motion, group: int) -> ClipSpec:
    """A clip of this way and group."""
    background, color = GROUPS[group]
    return sample_spec(seed, motion=motion, background=background, color=color)


class PriorTask:
    """Loss of the U-Net and the text encoder at nearly pure noise.

    Args:
        parts: U-Net and text encoder are trained, the tokenizer is used.
        folder: Where `average_clips` wrote.
        plan: Batches and steps.
        worker: This process.
    """

    def __init__(self, parts: Parts, folder: Path, plan: Plan, worker: Worker) -> None:
        self._parts, self._plan, self._worker = parts, plan, worker
        self._means = _means(folder, "r")

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of v, and the share of what changes over time that is predicted."""
        means, tokens = self._draw(step, generator)
        timesteps = torch.randint(_LEAST, TIMESTEPS, (len(means),), generator=generator)
        noise = torch.randn(means.shape, generator=generator)
        predicted, velocity = predict_velocity(
            self._parts, self._worker, means, noise, timesteps, tokens
        )
        loss = (predicted - velocity).square().mean()
        found = -predicted.detach().cpu()
        left = _over_time(found - means).square().mean() / _over_time(means).square().mean()
        return loss, {"loss": loss.detach(), "motion": 1 - left}

    def _draw(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mean clips (n, frames, 4, h, w) and tokens (n, limit) of one of their captions each."""
        motions = next(ways for first, ways in reversed(LESSONS) if step >= first)
        count = self._plan.prior.batch

        def drawn(limit: int) -> list[int]:
            return torch.randint(limit, (count,), generator=generator).tolist()

        # In turn, so that a step of a few clips holds different ones.
        first = (step * self._worker.world + self._worker.rank) * count
        chosen: list[Motion] = [motions[(first + n) % len(motions)] for n in range(count)]
        groups = drawn(len(GROUPS))
        captions = [
            caption(_spec(seed, way, group))
            for seed, way, group in zip(drawn(1 << 31), chosen, groups, strict=True)
        ]
        means = self._means[[MOTIONS.index(way) for way in chosen], groups]
        tokens = torch.from_numpy(to_tokens(self._parts.tokenizer, captions)).long()
        return torch.from_numpy(np.array(means)).float(), tokens


def _over_time(clips: Tensor) -> Tensor:
    """What differs from the clip's mean over its frames."""
    return clips - clips.mean(1, keepdim=True)
