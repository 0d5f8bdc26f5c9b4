# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two kinds of lessons at nearly pure noise have in common: groups, specs and the loss.

At nearly pure noise the best prediction is the mean of everything that the caption fits, so the
mean is the target: the gradient points where single examples' gradients point on average, without
their scatter. What is a product of a word and a place has no gradient to begin with, as long as
neither says anything. It is therefore taught one word first, then two, then all of them: a
curriculum (Bengio et al. 2009, "Curriculum learning").
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar, Unpack, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from demo.backgrounds import BACKGROUNDS, Background
from demo.sampling import CAMOUFLAGE, Fixed, sample_spec
from demo.spec import ClipSpec, Color
from demo.training.denoiser import predict_velocity
from demo.training.export import Parts
from demo.training.models import TIMESTEPS
from demo.training.workers import Worker

LEAST = 930
"""Timestep from which on clips count as noise: there 1 % of them is left."""
GROUPS: tuple[tuple[Background, Color], ...] = tuple(
    (background, color)
    for background in BACKGROUNDS
    for color in get_args(Color)
    if (color, background) not in CAMOUFLAGE
)
"""What is told apart besides what is taught."""
_Word = TypeVar("_Word", bound=str)
Lessons = tuple[tuple[int, tuple[_Word, ...]], ...]
"""From which step on which words are taught."""


def taught(lessons: Lessons[_Word], step: int) -> tuple[_Word, ...]:
    """The words of a step's lesson."""
    return next(words for first, words in reversed(lessons) if step >= first)


def drawn(limit: int, count: int, generator: Generator) -> list[int]:
    """So many numbers from 0 to below the limit."""
    return torch.randint(limit, (count,), generator=generator).tolist()


def spec_of(seed: int, group: int, **fixed: Unpack[Fixed]) -> ClipSpec:
    """A clip of this group, with the other wanted attributes."""
    background, color = GROUPS[group]
    fixed.update(background=background, color=color)
    return sample_spec(seed, **fixed)


def opened(path: Path, mode: Literal["r", "r+"]) -> NDArray[np.float16]:
    """A file of means, mapped into memory."""
    return np.load(path, mmap_mode=mode, allow_pickle=False)  # numbers, and nothing else


def mean_loss(
    parts: Parts, worker: Worker, means: Tensor, tokens: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Mean squared error of v at nearly pure noise, and the clips that were predicted.

    Args:
        parts: U-Net and text encoder.
        worker: This process.
        means: Targets (n, frames, 4, h, w).
        tokens: Of a caption each (n, limit).
        generator: Of the timesteps and the noise.
    """
    timesteps = torch.randint(LEAST, TIMESTEPS, (len(means),), generator=generator)
    noise = torch.randn(means.shape, generator=generator)
    predicted, velocity = predict_velocity(parts, worker, means, noise, timesteps, tokens)
    # v = alpha ε − sigma z, and alpha is next to nothing here.
    return (predicted - velocity).square().mean(), -predicted.detach().cpu()
