# SPDX-License-Identifier: GPL-3.0-or-later
"""What a word in the caption tells the demo backbone.

    .venv/bin/python -m benchmarks.demo_words [--backbone FOLDER] [--clips N]

Clips are noised and predicted with the right caption and with each wrong word for the shape or for
the way it moves; the error is v's, near the object, at four noise levels, with and (for shapes)
without the temporal layers. Reported: how much more the wrong words leave of it, and how often the
right one leaves least, which is a diffusion classifier (Li et al. 2023, arXiv 2303.16203); chance
is one in four. Asked at pure noise, the model answers with the mean of all clips that it thinks the
caption fits; how far these answers differ with the way, and between the frames of a clip, is
printed beside how far the world's own means do. Prints and writes nothing. Its clips are of no
training, tuning or gate.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from demo.grammar import caption
from demo.motion import MOTIONS, Motion
from demo.sampling import sample_spec
from demo.shapes import SHAPES
from demo.world import render
from engine.backbones.base import Backbone
from engine.backbones.image_mode import ImageMode
from engine.backbones.text_to_video import TextToVideo
from engine.registry import find_backbone

FIRST_SEED = 910_000
TIMESTEPS = (300, 500, 700, 850)
WAYS: tuple[Motion, ...] = ("left", "right", "up", "down")
_MEANS = 100
_NEAR = 2
"""Latents around the object that count with it."""


@dataclass(frozen=True)
class Found:
    """Errors of one clip at one timestep.

    Attributes:
        right: With its own caption.
        wrong: With each of three others.
    """

    right: float
    wrong: tuple[float, ...]


def errors(
    backbone: Backbone, latents: Tensor, near: Tensor, timestep: int, captions: list[str]
) -> Found:
    """Errors of v near the object; the first caption is the right one.

    Args:
        backbone: What predicts.
        latents: Of the clip, (frames, channels, h, w).
        near: 1 = counts, (frames, 1, h, w).
        timestep: Of the noise.
        captions: Right one first.
    """
    generator = torch.Generator().manual_seed(timestep)
    noise = torch.randn(latents.shape, generator=generator)
    z_t = backbone.add_noise(latents, noise, timestep)
    alpha_t, _ = backbone.alpha_sigma(timestep)
    found = []
    for text in captions:
        predicted = backbone.noise_pred(z_t[None], timestep, backbone.embed([text]))[0]
        squares = ((predicted - noise) / alpha_t).square().mean(1, keepdim=True)
        found.append(float((squares * near).sum() / near.sum()))
    return Found(found[0], tuple(found[1:]))


@torch.no_grad()
def measure(
    backbone: TextToVideo, seed: int, timesteps: tuple[int, ...] = TIMESTEPS
) -> Iterator[tuple[str, int, Found]]:
    """What is asked, the timestep, and the errors, for one clip."""
    spec = sample_spec(seed, motion=WAYS[seed % len(WAYS)])
    clip = render(spec)
    frames = torch.from_numpy(clip.frames).movedim(-1, 1).float() / 255
    latents, coverage = backbone.encode(frames), torch.from_numpy(clip.alpha)[:, None].float()
    near = max_pool2d(avg_pool2d(coverage, backbone.latent_factor), 2 * _NEAR + 1, 1, _NEAR)
    text = caption(spec)
    shapes = [text, *(text.replace(spec.shape, word) for word in SHAPES if word != spec.shape)]
    own = MOTIONS[spec.motion]
    ways = [text, *(text.replace(own, MOTIONS[way]) for way in WAYS if way != spec.motion)]
    for timestep in timesteps:
        for name, model, captions in (
            ("shape, single frames", ImageMode(backbone), shapes),
            ("shape, clips", backbone, shapes),
            ("motion, clips", backbone, ways),
        ):
            yield name, timestep, errors(model, latents, near, timestep, captions)


@torch.no_grad()
def answers_at_pure_noise(backbone: Backbone, noises: int = 6) -> tuple[float, float]:
    """RMS by which mean answers differ between ways, and over time, as shares of the whole RMS."""
    timestep = backbone.timesteps - 1
    alpha_t, sigma_t = backbone.alpha_sigma(timestep)
    generator = torch.Generator().manual_seed(timestep)
    z_t = torch.randn(noises, 8, backbone.latent_channels, 16, 16, generator=generator)
    answers = []
    for way in WAYS:
        text = backbone.embed([f"a black ball {MOTIONS[way]} over sand"] * noises)
        noise = backbone.noise_pred(z_t, timestep, text)
        answers.append(((z_t - sigma_t * noise) / alpha_t).mean(0))
    return differences(torch.stack(answers))


def world_at_pure_noise(backbone: Backbone, clips: int) -> tuple[float, float]:
    """The same of the means of so many clips of every way."""
    means = []
    for number, way in enumerate(WAYS):
        seeds = range(FIRST_SEED + number * clips, FIRST_SEED + (number + 1) * clips)
        every = []
        for seed in seeds:
            frames = render(sample_spec(seed, motion=way, color="black", background="sand")).frames
            pixels = torch.from_numpy(frames).movedim(-1, 1).float() / 255
            every.append(backbone.encode(pixels))
        means.append(torch.stack(every).mean(0))
    return differences(torch.stack(means))


def differences(means: Tensor) -> tuple[float, float]:
    """RMS between ways and over time by the whole RMS, of (ways, frames, channels, h, w)."""
    whole = means.square().mean().sqrt()
    ways = (means - means.mean(0, keepdim=True)).square().mean().sqrt()
    time = (means - means.mean(1, keepdim=True)).square().mean().sqrt()
    return float(ways / whole), float(time / whole)


def lines(found: dict[tuple[str, int], list[Found]]) -> Iterator[str]:
    """The table."""
    yield "| word | timestep | error, right word | wrong words | right word is best |"
    yield "|---|---|---|---|---|"
    for (name, timestep), rows in sorted(found.items()):
        right = sum(row.right for row in rows) / len(rows)
        wrong = sum(sum(row.wrong) / len(row.wrong) for row in rows) / len(rows)
        best = sum(row.right < min(row.wrong) for row in rows) / len(rows)
        yield f"| {name} | {timestep} | {right:.3f} | {wrong / right - 1:+.1%} | {best:.0%} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a word tells the demo backbone.")
    parser.add_argument("--backbone", default="demo", help="name or folder")
    parser.add_argument("--clips", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cpu")
    backbone = TextToVideo(find_backbone(given.backbone), device=device, dtype=torch.float32)
    found: dict[tuple[str, int], list[Found]] = defaultdict(list)
    for seed in range(FIRST_SEED, FIRST_SEED + given.clips):
        for name, timestep, one in measure(backbone, seed):
            found[name, timestep].append(one)
    print("\n".join(lines(found)))
    print()
    for name, (ways, time) in (
        ("answers", answers_at_pure_noise(backbone)),
        (f"the world, means of {_MEANS} clips", world_at_pure_noise(backbone, _MEANS)),
    ):
        print(f"At pure noise, {name}: {ways:.3f} between ways, {time:.3f} over time (of the RMS).")


if __name__ == "__main__":
    main()
