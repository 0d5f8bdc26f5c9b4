# SPDX-License-Identifier: GPL-3.0-or-later
"""The training stage at nearly pure noise: mean clips, one way after another, shapes in between."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from demo.grammar import words_of_shapes_and_ways
from demo.motion import Motion
from demo.sampling import sample_spec
from demo.training import prior
from demo.training.clips import encode
from demo.training.export import load
from demo.training.means import GROUPS
from demo.training.models import make_scheduler, spread_words
from demo.training.plan import REFINE, Schedule
from demo.training.prior import MOTIONS, PriorTask, WaysTask, average_clips
from demo.training.workers import Worker
from demo.world import render
from engine.registry import MODELS_FOLDER

ALONE = Worker(0, 1, torch.device("cpu"))
PLAN = dataclasses.replace(
    REFINE, prior=Schedule(steps=100, batch=6, learning_rate=1e-3), prior_clips=2
)


@pytest.fixture
def parts():
    return load(MODELS_FOLDER / "demo")


@pytest.fixture
def few_groups(monkeypatch):
    monkeypatch.setattr(prior, "GROUPS", GROUPS[:1])


@pytest.fixture
def means(tmp_path):
    """Random means for every way and group, as `average_clips` would leave them."""
    shape = (len(MOTIONS), len(GROUPS), 8, 4, 16, 16)
    rng = np.random.Generator(np.random.PCG64(1))
    np.save(tmp_path / "means.npy", rng.standard_normal(shape).astype(np.float16))
    return tmp_path


def test_a_mean_is_that_of_clips_of_this_way_and_group(parts, few_groups, tmp_path):
    shares = list(average_clips(ALONE, tmp_path, PLAN, parts.vae))
    assert shares[-1] == 1
    means = np.load(tmp_path / "means.npy")
    assert means.shape == (7, 1, 8, 4, 16, 16)
    background, color = GROUPS[0]
    ways: list[tuple[Motion, tuple[int, int]]] = [("left", (0, 1)), ("right", (2, 3))]
    for way, seeds in ways:
        clips = [
            render(sample_spec(9_000_000 + seed, motion=way, background=background, color=color))
            for seed in seeds
        ]
        latents = encode(parts.vae, np.stack([clip.frames for clip in clips])).double()
        wanted = (latents[0] + latents[1]) / 2 * parts.vae.config["scaling_factor"]
        found = means[MOTIONS.index(way), 0]
        assert np.abs(found - wanted.numpy()).max() < 4e-3  # float16 of values up to 4


def test_means_are_made_once_and_anew_for_another_number_of_clips(parts, few_groups, tmp_path):
    one = dataclasses.replace(PLAN, prior_clips=1)
    assert list(average_clips(ALONE, tmp_path, one, parts.vae))
    assert not list(average_clips(ALONE, tmp_path, one, parts.vae))
    first = np.load(tmp_path / "means.npy")
    assert list(average_clips(ALONE, tmp_path, PLAN, parts.vae))
    assert np.abs(np.load(tmp_path / "means.npy") - first).max() > 0.1
    assert json.loads((tmp_path / "means.done.json").read_text())["clips"] == 2


def test_no_means_are_made_for_a_plan_without_the_stage(parts, tmp_path):
    none = dataclasses.replace(PLAN, prior=dataclasses.replace(PLAN.prior, steps=0))
    assert not list(average_clips(ALONE, tmp_path, none, parts.vae))
    assert not (tmp_path / "means.npy").exists()


def test_one_way_is_taught_then_two_then_all_and_captions_name_them(parts, means):
    task = WaysTask(parts, means, PLAN, ALONE)
    generator = torch.Generator().manual_seed(3)
    every = np.load(means / "means.npy")
    taught = {}
    for first in (0, 80, 84, 311, 315, 996):
        ways = set()
        for step in range(first, first + 4):
            drawn, tokens = task._draw(step, generator)
            assert drawn.shape == (6, 8, 4, 16, 16)
            for clip, row in zip(drawn, tokens, strict=True):
                places = (every[..., 0, 0, 0, 0] == clip[0, 0, 0, 0].item()).nonzero()
                way, group = next(
                    (way, group)
                    for way, group in zip(*places, strict=True)
                    if np.array_equal(every[way, group], clip.half().numpy())
                )
                text = parts.tokenizer.decode(row, skip_special_tokens=True)
                background, color = GROUPS[group]
                assert f"{color} " in text
                assert f" {background}" in text
                ways.add(MOTIONS[way])
                words = {"circle": "circle", "still": "standing", "diagonal": "diagonally"}
                assert words.get(MOTIONS[way], MOTIONS[way]) in text
        taught[first] = ways
    assert taught[0] == taught[80] == {"left"}
    assert taught[84] == taught[311] == {"left", "right"}
    assert taught[315] == taught[996] == set(MOTIONS)


def test_a_step_shares_the_ways_out_among_its_clips_and_processes(parts, means):
    plan = dataclasses.replace(PLAN, prior=dataclasses.replace(PLAN.prior, batch=2))
    every = np.load(means / "means.npy")[..., 0, 0, 0, 0]
    ways = []
    for rank in (0, 1):
        task = WaysTask(parts, means, plan, Worker(rank, 2, torch.device("cpu")))
        drawn, _ = task._draw(400, torch.Generator().manual_seed(rank))
        ways += [int((every == clip[0, 0, 0, 0].item()).any(1).argmax()) for clip in drawn]
    assert ways == [(1600 + number) % 7 for number in range(4)]


class _Told:
    """In the place of the U-Net: says what it was asked and answers as it is told."""

    def __init__(self, answer):
        self._answer = answer

    def __call__(self, noised, timesteps, text, **_):
        self.noised, self.timesteps = noised.transpose(1, 2).double(), timesteps
        return (self._answer(self).transpose(1, 2),)


def test_the_loss_is_that_of_v_for_the_mean(parts, means):
    """Golden: v = alpha ε − sigma mean, in float64, from what the U-Net was given."""
    task = WaysTask(parts, means, PLAN, ALONE)
    drawn, _ = task._draw(50, torch.Generator().manual_seed(5))
    told = _Told(lambda asked: torch.full(asked.noised.shape, 0.25))
    task._parts = dataclasses.replace(parts, unet=told)
    loss, _ = task.loss(50, torch.Generator().manual_seed(5))
    betas = np.linspace(1e-4, 2e-2, 1000)
    alpha_bar = np.cumprod(1 - betas)[told.timesteps.numpy()].reshape(-1, 1, 1, 1, 1)
    assert told.timesteps.min() >= 930
    alpha, sigma = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    mean, z_t = drawn.double().numpy(), told.noised.numpy()
    noise = (z_t - alpha * mean) / sigma
    wanted = np.square(0.25 - (alpha * noise - sigma * mean)).mean()
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("part", "motion"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.75)])
def test_the_log_says_how_much_of_the_motion_is_predicted(parts, means, part, motion):
    task = WaysTask(parts, means, PLAN, ALONE)
    drawn, _ = task._draw(50, torch.Generator().manual_seed(5))
    still = drawn.mean(1, keepdim=True)
    told_so = _Told(lambda _: -(still + part * (drawn - still)))
    task._parts = dataclasses.replace(parts, unet=told_so)
    _, told = task.loss(50, torch.Generator().manual_seed(5))
    assert told["motion"].item() == pytest.approx(motion, abs=1e-5)


def test_words_are_moved_apart_around_their_mean_and_no_others(parts):
    words = words_of_shapes_and_ways()
    assert {"ball", "sphere", "star", "left", "diagonally", "circle", "resting"} <= set(words)
    assert not {"a", "in", "red", "grass"} & set(words)
    embedding = parts.text_encoder.get_input_embeddings().weight
    ids = [parts.tokenizer(word).input_ids[1] for word in words]
    before = embedding.detach().clone()
    spread_words(parts.text_encoder, parts.tokenizer, words, 6.0)
    after = embedding.detach()
    assert torch.allclose(after[ids].mean(0), before[ids].mean(0), atol=1e-5)
    one, other = ids[0], ids[3]
    assert torch.allclose(after[one] - after[other], 6 * (before[one] - before[other]), atol=1e-4)
    others = [index for index in range(len(before)) if index not in ids]
    assert torch.equal(after[others], before[others])


def test_what_counts_as_noise_holds_a_hundredth_of_the_clip():
    assert make_scheduler().alphas_cumprod[930].sqrt() == pytest.approx(0.0118, abs=2e-3)


class _Noted:
    """In the place of either kind of lessons: notes the steps it was asked for."""

    def __init__(self):
        self.steps = []

    def loss(self, step, _generator):
        self.steps.append(step)
        return torch.zeros(()), {}


def test_every_third_step_is_of_shapes_and_both_kinds_count_their_own(parts, means, monkeypatch):
    frames = np.zeros((4, len(GROUPS), 3, 1, 4, 10, 10), np.float16)
    np.save(means / "mean_frames.npy", frames)
    task = PriorTask(parts, means, PLAN, ALONE)
    ways, shapes = _Noted(), _Noted()
    monkeypatch.setattr(task, "_ways", ways)
    monkeypatch.setattr(task, "_shapes", shapes)
    for step in range(9):
        task.loss(step, torch.Generator())
    assert ways.steps == [0, 1, 2, 3, 4, 5]
    assert shapes.steps == [0, 1, 2]
