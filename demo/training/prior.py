# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3: what a caption says of a clip that is still all noise: how an object moves, its shape.

A way is a product of word, frame and place, of which no two say anything; see `means`. Lessons of
shapes (`shape_prior`) take turns with those of ways, because a stage forgets what it does not show.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.lib.format import open_memmap
from torch import Generator, Tensor

from demo.grammar import caption
from demo.motion import Motion
from demo.training.clips import encode, made_once, to_tokens
from demo.training.export import Parts
from demo.training.means import GROUPS, Lessons, drawn, mean_loss, opened, spec_of, taught
from demo.training.plan import FRAMES, SIZES, Plan
from demo.training.shape_prior import ShapesTask
from demo.training.workers import Worker
from demo.world import render

_FILE, _MARK = "means.npy", "means.done.json"
_FIRST_SEED = 9_000_000
_TURN = 3
"""Every so manieth step is of shapes."""
MOTIONS: tuple[Motion, ...] = get_args(Motion)
LESSONS: Lessons[Motion] = (
    (0, ("left",)),
    (84, ("left", "right")),
    (315, MOTIONS),
)


def average_clips(worker: Worker, folder: Path, plan: Plan, vae: AutoencoderKL) -> Iterable[float]:
    """Write the mean latents of every way and group; yields the share that is done.

    The clips are of the first picture size, with one object and a still camera; shape and size are
    whatever they are.
    """
    if not plan.prior.steps:
        return
    width, height = SIZES[0]
    shape = (len(MOTIONS), len(GROUPS), FRAMES, 4, height // 4, width // 4)

    def rows() -> Iterable[float]:
        means = opened(folder / _FILE, "r+")
        every = list(np.ndindex(shape[:2]))
        for index in range(worker.rank, len(every), worker.world):
            motion, group = every[index]
            first = _FIRST_SEED + index * plan.prior_clips
            specs = [
                spec_of(seed, group, motion=MOTIONS[motion])
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


class PriorTask:
    """Loss of the U-Net and the text encoder at nearly pure noise, on ways and on shapes.

    Args:
        parts: U-Net and text encoder are trained, the tokenizer is used.
        folder: Where `average_clips` and `shape_prior.average_frames` wrote.
        plan: Batches and steps.
        worker: This process.
    """

    def __init__(self, parts: Parts, folder: Path, plan: Plan, worker: Worker) -> None:
        self._ways = WaysTask(parts, folder, plan, worker)
        self._shapes = ShapesTask(parts, folder, plan, worker)

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and figures of the step's kind of lesson."""
        before = step // _TURN  # steps of shapes so far
        if step % _TURN == _TURN - 1:
            return self._shapes.loss(before, generator)
        return self._ways.loss(step - before, generator)


class WaysTask:
    """Loss on mean clips; arguments as of `PriorTask`."""

    def __init__(self, parts: Parts, folder: Path, plan: Plan, worker: Worker) -> None:
        self._parts, self._plan, self._worker = parts, plan, worker
        self._means = opened(folder / _FILE, "r")

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of v, and the share of what changes over time that is predicted."""
        means, tokens = self._draw(step, generator)
        loss, found = mean_loss(self._parts, self._worker, means, tokens, generator)
        left = _over_time(found - means).square().mean() / _over_time(means).square().mean()
        return loss, {"loss": loss.detach(), "motion": 1 - left}

    def _draw(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mean clips (n, frames, 4, h, w) and tokens (n, limit) of one of their captions each."""
        motions: tuple[Motion, ...] = taught(LESSONS, step)
        count = self._plan.prior.batch
        # In turn, so that a step of a few clips holds different ones.
        first = (step * self._worker.world + self._worker.rank) * count
        chosen: list[Motion] = [motions[(first + n) % len(motions)] for n in range(count)]
        groups = drawn(len(GROUPS), count, generator)
        captions = [
            caption(spec_of(seed, group, motion=way))
            for seed, way, group in zip(
                drawn(1 << 31, count, generator), chosen, groups, strict=True
            )
        ]
        means = self._means[[MOTIONS.index(way) for way in chosen], groups]
        tokens = torch.from_numpy(to_tokens(self._parts.tokenizer, captions)).long()
        return torch.from_numpy(np.array(means)).float(), tokens


def _over_time(clips: Tensor) -> Tensor:
    """What differs from the clip's mean over its frames."""
    return clips - clips.mean(1, keepdim=True)
