# SPDX-License-Identifier: GPL-3.0-or-later
"""Lessons of shapes at nearly pure noise: mean frames, one shape after another, in the middle."""

import dataclasses

import numpy as np
import pytest
import torch

from demo.motion import Path as Way
from demo.sampling import Fixed, sample_spec
from demo.shapes import SHAPES
from demo.training import shape_prior
from demo.training.clips import encode
from demo.training.export import load
from demo.training.means import GROUPS
from demo.training.plan import REFINE, Schedule
from demo.training.shape_prior import SIDE, ShapesTask, average_frames
from demo.training.workers import Worker
from demo.world import render
from engine.registry import MODELS_FOLDER

ALONE = Worker(0, 1, torch.device("cpu"))
PLAN = dataclasses.replace(
    REFINE,
    prior=Schedule(steps=100, batch=6, learning_rate=1e-3),
    images=dataclasses.replace(REFINE.images, batch=6),
    prior_clips=2,
)


@pytest.fixture
def parts():
    return load(MODELS_FOLDER / "demo")


@pytest.fixture
def means(tmp_path):
    """Random means of every shape, group and size, as `average_frames` would leave them."""
    rng = np.random.Generator(np.random.PCG64(1))
    shape = (4, len(GROUPS), 3, 1, 4, SIDE, SIDE)
    np.save(tmp_path / "mean_frames.npy", rng.standard_normal(shape).astype(np.float16))
    return tmp_path


def test_a_mean_is_that_of_frames_with_this_object_in_the_middle(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(shape_prior, "GROUPS", GROUPS[:1])
    assert list(average_frames(ALONE, tmp_path, PLAN, parts.vae))[-1] == 1
    means = np.load(tmp_path / "mean_frames.npy")
    assert means.shape == (4, 1, 3, 1, 4, 10, 10)
    assert not list(average_frames(ALONE, tmp_path, PLAN, parts.vae))
    background, color = GROUPS[0]
    fixed = Fixed(background=background, color=color, motion="still", size="big", shape="star")
    frames = []
    for seed in (9_500_000 + 2 * (3 * 3 + 2), 9_500_000 + 2 * (3 * 3 + 2) + 1):
        spec = sample_spec(seed, frames=1, **fixed)
        clip = render(dataclasses.replace(spec, path=Way((0.0, 0.0), (0.0, 0.0))))
        rows, columns = np.nonzero(clip.alpha[0] > 0.5)
        assert rows.min() >= 12
        assert rows.max() < 52
        assert abs(columns.mean() + 0.5 - 32) < 0.3
        frames.append(clip.frames)
    latents = encode(parts.vae, np.stack(frames)).double()
    wanted = latents.mean(0) * parts.vae.config["scaling_factor"]
    assert np.abs(means[3, 0, 2] - wanted[..., 3:13, 3:13].numpy()).max() < 4e-3


def test_no_means_are_made_for_a_plan_without_the_stage(parts, tmp_path):
    none = dataclasses.replace(PLAN, prior=dataclasses.replace(PLAN.prior, steps=0))
    assert not list(average_frames(ALONE, tmp_path, none, parts.vae))
    assert not (tmp_path / "mean_frames.npy").exists()


@pytest.mark.parametrize(
    ("step", "taught"),
    [
        (0, {"ball"}),
        (39, {"ball"}),
        (40, {"ball", "star"}),
        (140, {"ball", "triangle", "star"}),
        (200, set(SHAPES)),
        (999, set(SHAPES)),
    ],
)
def test_shapes_come_one_after_another_and_captions_name_them(parts, means, step, taught):
    every = np.load(means / "mean_frames.npy")
    task = ShapesTask(parts, means, PLAN, ALONE)
    drawn, others, tokens = task._draw(step, torch.Generator().manual_seed(3))
    assert drawn.shape == others.shape == (6, 1, 4, 10, 10)
    found = set()
    for frame, mean, row in zip(drawn, others, tokens, strict=True):
        places = (every[..., 0, 0, 0, 0] == frame[0, 0, 0, 0].item()).nonzero()
        shape, group, size = next(
            place
            for place in zip(*places, strict=True)
            if np.array_equal(every[place], frame.half().numpy())
        )
        wanted = every[:, group, size].astype(np.float64).mean(0)
        assert np.abs(mean.numpy() - wanted).max() < 1e-6
        background, color = GROUPS[group]
        text = parts.tokenizer.decode(row, skip_special_tokens=True)
        assert f"{color} {SHAPES[shape]} " in text
        assert f" {background}" in text
        assert ("small" in text, "big" in text) == (size == 0, size == 2)
        found.add(SHAPES[shape])
    assert found == taught


class _Told:
    """In the place of the U-Net: says what it was asked and answers as it is told."""

    def __init__(self, answer):
        self._answer = answer

    def modules(self):
        return iter(())

    def __call__(self, noised, timesteps, text, **_):
        self.noised, self.timesteps = noised.transpose(1, 2).double(), timesteps
        return (self._answer.transpose(1, 2),)


def test_the_loss_is_that_of_v_for_the_mean(parts, means):
    """Golden: v = alpha ε − sigma mean, in float64, from what the U-Net was given."""
    task = ShapesTask(parts, means, PLAN, ALONE)
    drawn, _, _ = task._draw(50, torch.Generator().manual_seed(5))
    told = _Told(torch.full(drawn.shape, 0.25))
    task._parts = dataclasses.replace(parts, unet=told)
    loss, _ = task.loss(50, torch.Generator().manual_seed(5))
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))[told.timesteps.numpy()]
    alpha, sigma = (np.sqrt(x).reshape(-1, 1, 1, 1, 1) for x in (alpha_bar, 1 - alpha_bar))
    assert told.timesteps.min() >= 930
    noise = (told.noised.numpy() - alpha * drawn.double().numpy()) / sigma
    wanted = np.square(0.25 - (alpha * noise - sigma * drawn.double().numpy())).mean()
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    assert noise.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("part", "share"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.75)])
def test_the_log_says_how_much_of_the_shapes_is_predicted(parts, means, part, share):
    task = ShapesTask(parts, means, PLAN, ALONE)
    drawn, others, _ = task._draw(250, torch.Generator().manual_seed(5))
    told_so = _Told(-(others + part * (drawn - others)))
    task._parts = dataclasses.replace(parts, unet=told_so)
    _, told = task.loss(250, torch.Generator().manual_seed(5))
    assert told["shape"].item() == pytest.approx(share, abs=1e-5)
