# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of training: clips, autoencoder, latents; U-Net on images, noise, clips; export."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn
from tqdm import tqdm

from demo.grammar import words_of_shapes_and_ways
from demo.training import clips, models, prior, shape_prior
from demo.training.autoencoder import AutoencoderTask
from demo.training.denoiser import DenoiserTask
from demo.training.export import Parts, export, load
from demo.training.loop import Budget, OutOfTime, Task, train
from demo.training.plan import Plan
from demo.training.sheets import write_reconstructions, write_samples
from demo.training.trainee import Trainee
from demo.training.workers import Worker
from engine.backbones.text_to_video import TextToVideo
from engine.registry import find_backbone, read_card

TRAINED = "trained"
"""Name of the empty file that says that every stage is finished."""
_SHEET_SECONDS = 900.0
"""Samples cost a minute of two cores, so not every checkpoint has some."""


def train_all(worker: Worker, folder: Path, plan: Plan, deadline: float, steps: float) -> None:
    """Every stage that is not finished yet; leaves `folder/TRAINED` when all are.

    Args:
        worker: This process.
        folder: Claimed for the plan.
        plan: What is trained, and how.
        deadline: When to stop, seconds since the epoch.
        steps: Stop after so many steps of training.
    """
    stop = Budget(time.monotonic() + deadline - time.time(), steps)
    parts = _installed(plan, plan.begin) if plan.begin else _untrained(plan)
    try:
        _show(worker, "clips", clips.render_clips(worker, folder, plan))
        _show(worker, "captions", clips.write_captions(worker, folder, plan, parts.tokenizer))
        _train_autoencoder(parts.vae, worker, folder, plan, stop)
        _show(worker, "latents", clips.encode_clips(worker, folder, plan, parts.vae))
        _train_denoiser("images", parts, worker, folder, plan, stop)
        _show(worker, "means", prior.average_clips(worker, folder, plan, parts.vae))
        _show(worker, "mean frames", shape_prior.average_frames(worker, folder, plan, parts.vae))
        _train_denoiser("prior", parts, worker, folder, plan, stop)
        _train_denoiser("video", parts, worker, folder, plan, stop)
    except OutOfTime as end:
        if worker.leads:
            print(end)
        return
    if worker.leads:
        export(parts, folder / "model")
        _write_samples(folder / "model", folder / "samples.png")
        (folder / TRAINED).touch()


def _show(worker: Worker, name: str, shares: Iterable[float]) -> None:
    """Run a generator of shares under a progress bar."""
    with tqdm(total=100, desc=name, unit="%", disable=not worker.leads) as bar:
        for share in shares:
            bar.update(round(100 * share) - bar.n)


def _installed(plan: Plan, name: str) -> Parts:
    """An installed model's weights, with words told apart as the plan says."""
    parts = load(find_backbone(name).folder)
    words = words_of_shapes_and_ways()
    models.spread_words(parts.text_encoder, parts.tokenizer, words, plan.word_spread)
    return parts


def _untrained(plan: Plan) -> Parts:
    """Random weights; those of the U-Net do not depend on how the autoencoder is made."""
    tokenizer = models.make_tokenizer(plan)
    torch.manual_seed(plan.seed)
    vae = models.make_vae(plan)
    torch.manual_seed(plan.seed)
    return Parts(
        vae=vae,
        unet=models.make_unet(plan),
        text_encoder=models.make_text_encoder(plan, tokenizer),
        tokenizer=tokenizer,
    )


def _train_autoencoder(
    vae: AutoencoderKL, worker: Worker, folder: Path, plan: Plan, stop: Budget
) -> None:
    """Stage `autoencoder`; leaves the averaged weights and their scaling factor."""
    if not plan.autoencoder.steps:
        nn.Module.to(vae, worker.device).eval().requires_grad_(False)
        return
    trainee = Trainee({"vae": vae}, plan.autoencoder, worker)
    task = AutoencoderTask(vae, folder, plan, worker)

    def show() -> None:
        write_reconstructions(vae, folder / "reconstructions.png")

    train("autoencoder", trainee, task, folder, seed=plan.seed, budget=stop, show=show)
    trainee.begin_from_average()
    vae.eval().requires_grad_(False)
    vae.register_to_config(scaling_factor=clips.scaling_factor(vae, clips.shards(folder, plan)))


def _train_denoiser(
    stage: str, parts: Parts, worker: Worker, folder: Path, plan: Plan, stop: Budget
) -> None:
    """Stage `images`, `prior` or `video`; leaves the averaged weights in the parts."""
    if not getattr(plan, stage).steps:
        return
    trained = {"unet": parts.unet, "text_encoder": parts.text_encoder}
    trainee = Trainee(trained, getattr(plan, stage), worker)
    task: Task
    if stage == "prior":
        task = prior.PriorTask(parts, folder, plan, worker)
    else:
        task = DenoiserTask(parts, folder, plan, worker, images_only=stage == "images")
    shown = time.monotonic()

    def show() -> None:
        nonlocal shown
        if stage == "video" and time.monotonic() - shown >= _SHEET_SECONDS:
            shown = time.monotonic()
            export(parts, folder / "snapshot")
            _write_samples(folder / "snapshot", folder / f"samples-{trainee.step}.png")

    train(stage, trainee, task, folder, seed=plan.seed, budget=stop, show=show)
    trainee.begin_from_average()


def _write_samples(model: Path, path: Path) -> None:
    backbone = TextToVideo(read_card(model), device=torch.device("cpu"), dtype=torch.float32)
    write_samples(backbone, path)
