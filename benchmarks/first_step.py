# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the first step of a colour edit leads: to the new colour, or to the background.

    .venv/bin/python -m benchmarks.first_step [--backbone FOLDER] [--clips N]

A clip is noised and denoised with the source prompt and with the target prompt. The difference of
the two answers, the direction of delta denoising score, is fitted inside the object (least squares)
by a share of the way to the exact counterfactual and a share of the way to the clip without its
object. A model that only ever saw right colours takes an object of another colour for background
where it is more like that; the edit then loses parts of the object in its first steps, and they do
not come back. Prints and writes nothing. Its clips are of no training, tuning or gate.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.demo_edits import case, subject
from demo.grammar import caption
from engine.backbones.base import Backbone
from engine.backbones.text_to_video import TextToVideo
from engine.registry import find_backbone

FIRST_SEED = 920_000
TIMESTEPS = (200, 300, 400, 500, 600)
_NOISES = 3

Shares = tuple[float, float]
"""Of the way to the counterfactual, and of the way to the background."""


def shares(difference: Tensor, to_target: Tensor, to_background: Tensor) -> Shares:
    """How much of two ways is in a difference of latents, by least squares.

    Args:
        difference: What is explained, any shape.
        to_target: The way to the exact counterfactual, same shape.
        to_background: The way to the clip without its object, same shape.
    """
    ways = torch.stack([to_target.flatten(), to_background.flatten()], dim=1)
    target, background = torch.linalg.lstsq(ways, difference.flatten()[:, None]).solution[:, 0]
    return float(target), float(background)


@torch.no_grad()
def measure(
    backbone: Backbone, seed: int, timesteps: tuple[int, ...] = TIMESTEPS
) -> Iterator[tuple[int, Shares]]:
    """Timestep and mean shares over noises, of one colour edit."""
    given = subject(backbone, case("color", seed))
    mask = given.latents(backbone.latent_factor).mask
    to_target, to_background = (
        mask * (_encode(backbone, frames) - given.z_source)
        for frames in (given.target.frames, given.empty)
    )
    prompts = backbone.embed([caption(given.case.source), caption(given.case.target)])
    for timestep in timesteps:
        generator = torch.Generator().manual_seed(timestep)
        alpha_t, sigma_t = backbone.alpha_sigma(timestep)
        found = []
        for _ in range(_NOISES):
            noise = torch.randn(given.z_source.shape, generator=generator)
            z_t = backbone.add_noise(given.z_source, noise, timestep)
            source, target = backbone.noise_pred(torch.stack([z_t, z_t]), timestep, prompts)
            # Of the clean clips that the two answers mean.
            difference = mask * (source - target) * (sigma_t / alpha_t)
            found.append(shares(difference, to_target, to_background))
        means = np.mean(found, axis=0)
        yield timestep, (float(means[0]), float(means[1]))


def _encode(backbone: Backbone, frames: NDArray[np.uint8]) -> Tensor:
    pixels = torch.from_numpy(np.array(frames)).movedim(-1, 1).float() / 255
    return backbone.encode(pixels)


def lines(found: dict[int, list[Shares]]) -> Iterator[str]:
    """The table."""
    yield "| timestep | to the new colour | to the background | more to the background |"
    yield "|---|---|---|---|"
    for timestep, every in sorted(found.items()):
        target, background = np.mean(every, axis=0)
        lost = sum(one[1] > one[0] for one in every)
        yield f"| {timestep} | {target:.2f} | {background:.2f} | {lost} of {len(every)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Where a colour edit's first step leads.")
    parser.add_argument("--backbone", default="demo", help="name or folder")
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    backbone = TextToVideo(
        find_backbone(given.backbone), device=torch.device("cpu"), dtype=torch.float32
    )
    found: dict[int, list[Shares]] = {timestep: [] for timestep in TIMESTEPS}
    for seed in range(FIRST_SEED, FIRST_SEED + given.clips):
        for timestep, one in measure(backbone, seed):
            found[timestep].append(one)
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
