# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3's lessons of shapes: what a caption says of a single frame that is still all noise.

The object is in the middle of a small cut, so that its shape is all that the caption has to tell;
where it is seen elsewhere is left to the stage after. See `means`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.lib.format import open_memmap
from torch import Generator, Tensor

from demo.grammar import caption
from demo.motion import Path as Way
from demo.shapes import SHAPES, Shape
from demo.spec import ClipSpec, Size
from demo.training.clips import encode, made_once, to_tokens
from demo.training.export import Parts
from demo.training.means import GROUPS, Lessons, drawn, mean_loss, opened, spec_of, taught
from demo.training.plan import SIZES, Plan
from demo.training.workers import Worker
from demo.world import render
from engine.backbones.image_mode import temporal_layers_bypassed

_FILE, _MARK = "mean_frames.npy", "mean_frames.done.json"
_FIRST_SEED = 9_500_000
SIDE = 10
"""Of the cut, in latents: 40 px, in which a big object fits."""
WORDS: tuple[Size, ...] = ("small", "", "big")
"""For sizes; huge objects do not fit the cut."""
# The two that differ most come first.
LESSONS: Lessons[Shape] = (
    (0, ("ball",)),
    (40, ("ball", "star")),
    (140, ("ball", "triangle", "star")),
    (200, SHAPES),
)


def average_frames(worker: Worker, folder: Path, plan: Plan, vae: AutoencoderKL) -> Iterable[float]:
    """Write the mean latents of every shape, group and size; yields the share that is done."""
    if not plan.prior.steps:
        return
    shape = (len(SHAPES), len(GROUPS), len(WORDS), 1, 4, SIDE, SIDE)

    def rows() -> Iterable[float]:
        means = opened(folder / _FILE, "r+")
        every = list(np.ndindex(shape[:3]))
        for index in range(worker.rank, len(every), worker.world):
            first = _FIRST_SEED + index * plan.prior_clips
            specs = [
                _in_the_middle(seed, *every[index])
                for seed in range(first, first + plan.prior_clips)
            ]
            frames = np.stack([render(spec).frames for spec in specs])
            mean = encode(vae, frames).mean(0) * vae.config["scaling_factor"]
            top, left = ((side - SIDE) // 2 for side in mean.shape[-2:])
            means[every[index]] = mean[..., top : top + SIDE, left : left + SIDE].cpu().numpy()
            yield (index + 1) / len(every)

    wanted = {"clips": plan.prior_clips, "seed": plan.seed}
    yield from made_once(
        worker,
        folder / _MARK,
        wanted,
        lambda: open_memmap(folder / _FILE, "w+", np.float16, shape),
        rows,
    )


def _in_the_middle(seed: int, shape: int, group: int, size: int) -> ClipSpec:
    """A single frame of the first picture size, with the object in the middle."""
    spec = spec_of(seed, group, shape=SHAPES[shape], size=WORDS[size], motion="still")
    width, height = SIZES[0]
    return dataclasses.replace(
        spec, frames=1, width=width, height=height, path=Way((0.0, 0.0), (0.0, 0.0))
    )


class ShapesTask:
    """Loss of the U-Net without its temporal layers, and the text encoder, at nearly pure noise.

    Args:
        parts: U-Net and text encoder are trained, the tokenizer is used.
        folder: Where `average_frames` wrote.
        plan: Batches.
        worker: This process.
    """

    def __init__(self, parts: Parts, folder: Path, plan: Plan, worker: Worker) -> None:
        self._parts, self._plan, self._worker = parts, plan, worker
        self._means = opened(folder / _FILE, "r")

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of v, and the share of what differs between shapes that is predicted.

        Args:
            step: Counts the lessons of shapes only.
            generator: Of everything random.
        """
        means, others, tokens = self._draw(step, generator)
        with temporal_layers_bypassed(self._parts.unet):
            loss, found = mean_loss(self._parts, self._worker, means, tokens, generator)
        left = (found - means).square().mean() / (others - means).square().mean()
        return loss, {"shape_loss": loss.detach(), "shape": 1 - left}

    def _draw(self, step: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mean frames (n, 1, 4, h, w), the mean of all shapes beside each of them, and tokens
        (n, limit) of one of their captions each, whichever way the object moves.
        """
        shapes, count = taught(LESSONS, step), self._plan.images.batch
        chosen = [SHAPES.index(shapes[n % len(shapes)]) for n in range(count)]
        groups, sizes = drawn(len(GROUPS), count, generator), drawn(len(WORDS), count, generator)
        captions = [
            caption(spec_of(seed, group, shape=SHAPES[shape], size=WORDS[size]))
            for seed, shape, group, size in zip(
                drawn(1 << 31, count, generator), chosen, groups, sizes, strict=True
            )
        ]
        means = torch.from_numpy(self._means[:, groups, sizes]).float()
        tokens = torch.from_numpy(to_tokens(self._parts.tokenizer, captions)).long()
        return means[chosen, range(count)], means.mean(0), tokens
