# SPDX-License-Identifier: GPL-3.0-or-later
"""Stages 2 and 4: the U-Net and the text encoder, on single frames and on clips.

v prediction (Salimans & Ho 2022, appendix D): v = alpha_t ε − sigma_t z. Its error at high noise
is the error of the picture itself, so what only the caption can tell carries a gradient.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from demo.training.autoencoder import draw_shard
from demo.training.clips import CAPTIONS, shards, to_tokens
from demo.training.export import Parts
from demo.training.models import TIMESTEPS, make_scheduler
from demo.training.plan import FRAMES, Plan
from demo.training.workers import Worker
from engine.backbones.image_mode import temporal_layers_bypassed

# Share of captions in the grammar's usual words; the others are paraphrases.
_USUAL_SHARE = 0.5
_THIRDS = ("low", "middle", "high")
_TOWARDS_NOISE = 0.75
"""Below 1, high noise is drawn more often: there shape, place and motion are decided, and below a
third of the schedule little but texture."""

_MOVED_SHARES = (0.5, 0.25)
"""Of objects, and of backgrounds, that get a wrong colour where the plan says so."""
_MOST_SIGNAL = 1.5
"""Signal over noise up to which a wrong colour is as strong as a right one (a fifth of the
schedule); in less noise a clip is what one sees."""


class DenoiserTask:
    """Loss of the U-Net and the text encoder.

    Args:
        parts: U-Net and text encoder are trained, the tokenizer is used.
        folder: The encoded clips.
        plan: Batches and shares.
        worker: This process.
        images_only: Stage 2: every step on single frames, temporal layers bypassed.
    """

    def __init__(
        self,
        parts: Parts,
        folder: Path,
        plan: Plan,
        worker: Worker,
        *,
        images_only: bool,
    ) -> None:
        self._parts, self._plan, self._worker = parts, plan, worker
        self._device = worker.device
        self._images_only = images_only
        self._shards = shards(folder, plan)
        self._latents = [shard.array("latents") for shard in self._shards]
        self._tokens = [shard.array("tokens") for shard in self._shards]
        self._alphas = [shard.array("alpha") for shard in self._shards]
        self._empty = torch.from_numpy(to_tokens(parts.tokenizer, [""])[0])

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of v; for the log also by thirds of the noise schedule."""
        alone = self._images_only or self._is_image_step(step)
        latents, coverage, tokens = self._draw(step, alone, generator)
        count = len(latents)
        # Stratified: one timestep out of every count-th of the schedule.
        share = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        share = share**_TOWARDS_NOISE
        # Rounding may lift the last share to 1.
        timesteps = (share * TIMESTEPS).long().clamp_(max=TIMESTEPS - 1)
        noise = torch.randn(latents.shape, generator=generator)
        if self._plan.colour_spread and not self._images_only:
            spread, captioned = self._plan.colour_spread, (tokens != self._empty).any(1)
            noise += wrong_colours(coverage, timesteps, captioned, spread, generator)
        bypass = temporal_layers_bypassed(self._parts.unet) if alone else nullcontext()
        with bypass:
            predicted, velocity = predict_velocity(
                self._parts, self._worker, latents, noise, timesteps, tokens
            )
        squares = (predicted - velocity).square().mean(2)
        is_weighted = not self._images_only and step >= self._plan.object_weight_from
        weight = self._plan.object_weight if is_weighted else 1.0
        errors = weighted_error(squares, coverage.to(self._device), weight)
        if alone and not self._images_only:
            return errors.mean(), {"image_loss": errors.detach().mean()}
        inside = (squares.detach().cpu() * coverage).sum() / coverage.sum()
        told = {"loss": squares.detach().mean(), "object": inside}
        third = timesteps * len(_THIRDS) // TIMESTEPS
        for number, name in enumerate(_THIRDS):  # without any, the mean is not a number
            told[name] = squares.detach().cpu()[third == number].mean()
        return errors.mean(), told

    def _is_image_step(self, step: int) -> bool:
        """Whether a step of stage 4 trains the image mode; the same in every process."""
        share = self._plan.image_share
        return int((step + 1) * share) > int(step * share)

    def _draw(self, step: int, alone: bool, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, frames, 4, h, w), one frame each if `alone`; the object's coverage of each
        of their places (n, frames, h, w); tokens (n, limit).
        """
        number = draw_shard(self._plan.seed, step)
        rows, columns = self._latents[number].shape[-2:]
        side = self._side(step) if alone else None
        count = self._plan.images.batch if alone else self._plan.video.batch
        if side:
            count = count * rows * columns // (min(side, rows) * min(side, columns))
        clips = torch.randint(self._shards[number].count, (count,), generator=generator).numpy()
        if alone:
            frames = torch.randint(FRAMES, (count,), generator=generator).numpy()
            latents = self._latents[number][clips, frames][:, None]
            alpha = self._alphas[number][clips, frames][:, None]
        else:
            latents, alpha = self._latents[number][clips], self._alphas[number][clips]
        paraphrases = torch.randint(1, CAPTIONS, (count,), generator=generator)
        usual = torch.rand(count, generator=generator) < _USUAL_SHARE
        chosen = torch.where(usual, 0, paraphrases).numpy()
        tokens = torch.from_numpy(np.array(self._tokens[number][clips, chosen])).long()
        dropped = torch.rand(count, generator=generator) < self._plan.caption_dropout
        tokens[dropped] = self._empty.long()
        coverage = torch.from_numpy(np.array(alpha)).float() / 255
        coverage = avg_pool2d(coverage, coverage.shape[-1] // columns)
        drawn = torch.from_numpy(np.array(latents)).float()
        if side:
            drawn, coverage = cut(drawn, coverage, side, generator)
        return drawn, coverage, tokens

    def _side(self, step: int) -> int | None:
        """What single frames are cut to at a step; the same in every process."""
        sides = self._plan.image_cuts
        if not sides:
            return None
        rng = np.random.Generator(np.random.PCG64([self._plan.seed, step, len(sides)]))
        return int(rng.choice(sides))


def predict_velocity(
    parts: Parts,
    worker: Worker,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    tokens: Tensor,
) -> tuple[Tensor, Tensor]:
    """What the U-Net says v is, and what it is, float32 on the worker's device.

    Args:
        parts: U-Net and text encoder.
        worker: This process.
        latents: Clips or single frames (n, frames, 4, h, w).
        noise: ε, of the same shape.
        timesteps: Of every clip (n,).
        tokens: Of a caption each (n, limit).
    """
    alpha_bar = make_scheduler().alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    noised = alpha * latents + sigma * noise
    velocity = (alpha * noise - sigma * latents).to(worker.device)
    with worker.fast_arithmetic():
        text = parts.text_encoder(tokens.to(worker.device)).last_hidden_state
        predicted = parts.unet(
            noised.transpose(1, 2).to(worker.device),
            timesteps.to(worker.device),
            text,
            return_dict=False,
        )[0].transpose(1, 2)
    return predicted.float(), velocity


def wrong_colours(
    coverage: Tensor, timesteps: Tensor, captioned: Tensor, spread: float, generator: Generator
) -> Tensor:
    """What to add to ε (n, frames, 4, h, w) so that objects and backgrounds have other colours.

    Like offset noise (Guttenberg 2023, "Diffusion with offset noise"), but one offset for the
    object and one for what is around it (a second object included), the same in all frames, of a
    size as if the clip's own latents were moved. White noise alone teaches that an object whose
    colour is not the caption's is more likely another, smaller object in front of more background,
    if that is nearer to the colour seen. With such noise the caption tells the colour, and the
    noise the place, which is what an edit of the colour asks.

    Args:
        coverage: The object's share of every place (n, frames, h, w), 0 to 1.
        timesteps: Of every clip (n,).
        captioned: Which clips have a caption (n,); nothing else tells a colour, so others get 0. It
            always tells the object's colour, and may leave out the background.
        spread: Standard deviation in latents.
        generator: Of the offsets.
    """
    alpha_bar = make_scheduler().alphas_cumprod[timesteps]
    signal = (alpha_bar / (1 - alpha_bar)).sqrt().clamp(max=_MOST_SIGNAL)
    count = len(coverage)
    offsets = spread * torch.randn(2, count, 1, 4, 1, 1, generator=generator)
    moved = torch.rand(2, count, generator=generator) < torch.tensor(_MOVED_SHARES)[:, None]
    offsets = offsets * (moved * captioned * signal).view(2, count, 1, 1, 1, 1)
    inside, outside = offsets
    share = coverage[:, :, None]
    return inside * share + outside * (1 - share)


def cut(
    latents: Tensor, coverage: Tensor, side: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Cut single frames (n, 1, 4, h, w) and the object's share of their places (n, 1, h, w) to
    squares of `side` latents, or what there is, with the object's middle in them.
    """
    sizes = coverage.shape[-2:]
    lengths = [min(side, most) for most in sizes]
    starts = []
    for along, length, most in zip(
        (coverage.sum((1, 3)), coverage.sum((1, 2))), lengths, sizes, strict=True
    ):
        middle = (along * torch.arange(most)).sum(1) / along.sum(1).clamp(min=1e-6)
        # It comes to lie in the middle half of the square, as far as the picture's edge allows.
        before = length * (0.25 + 0.5 * torch.rand(len(middle), generator=generator))
        starts.append((middle - before).round().clamp(0, most - length).long().tolist())
    tall, wide = lengths
    places = [
        (slice(top, top + tall), slice(left, left + wide))
        for top, left in zip(*starts, strict=True)
    ]
    return (
        torch.stack([one[..., *place] for one, place in zip(latents, places, strict=True)]),
        torch.stack([one[..., *place] for one, place in zip(coverage, places, strict=True)]),
    )


def weighted_error(squares: Tensor, coverage: Tensor, weight: float) -> Tensor:
    """Mean error of every clip (n,), in which places of the object count `weight` times as much.

    Args:
        squares: Squared error of every place (n, frames, h, w).
        coverage: The object's share of every place (n, frames, h, w), 0 to 1.
        weight: Of a place that is all object; elsewhere 1.
    """
    weights = 1 + (weight - 1) * coverage
    return (weights * squares).sum((1, 2, 3)) / weights.sum((1, 2, 3))
