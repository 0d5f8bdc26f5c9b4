# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise, timesteps and phases are pure functions of seed, step and media frame."""

from itertools import pairwise

import torch

from engine.guidance.randomness import draw_phase, draw_timestep, frame_noise

SHAPE = (4, 12, 20)
KNOWN_NOISE = [-2.3665, 0.3196, 2.1318, -0.4314]


def drawn(step, schedule="uniform", seed=0):
    return draw_timestep(seed, step, timesteps=1000, smallest=0.05, largest=0.95, schedule=schedule)


def test_a_frame_gets_the_same_noise_in_every_window():
    whole = frame_noise(5, 3, range(16), SHAPE)
    window = frame_noise(5, 3, range(4, 12), SHAPE)
    assert torch.equal(whole[4:12], window)


def test_noise_of_a_known_key_never_changes():
    noise = frame_noise(1, 2, [3], (1, 2, 2)).flatten().tolist()
    assert noise == frame_noise(1, 2, [3], (1, 2, 2)).flatten().tolist()
    assert [round(value, 4) for value in noise] == KNOWN_NOISE


def test_other_seed_step_or_frame_gives_other_noise():
    base = frame_noise(5, 3, [7], SHAPE)
    for other in (
        frame_noise(6, 3, [7], SHAPE),
        frame_noise(5, 4, [7], SHAPE),
        frame_noise(5, 3, [8], SHAPE),
    ):
        assert abs(float((base * other).mean())) < 0.15


def test_noise_is_standard_normal():
    noise = frame_noise(0, 0, range(40), SHAPE)
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02


def test_uniform_timesteps_stay_in_the_range_of_the_paper():
    values = [drawn(step) for step in range(4000)]
    assert min(values) >= 50
    assert max(values) <= 949
    assert abs(sum(values) / len(values) - 500) < 15


def test_stratified_timesteps_cover_the_range_evenly_in_few_steps():
    for seed in range(5):
        values = sorted(drawn(step, "stratified", seed) for step in range(16))
        gaps = [b - a for a, b in pairwise(values)]
        assert max(gaps) < 120
        assert values[0] < 150
        assert values[-1] > 850


def test_phases_reach_every_offset():
    assert {draw_phase(0, step, 8) for step in range(100)} == set(range(8))


def test_a_descending_schedule_goes_from_most_to_least_noise_and_knows_no_past():
    def draw(step):
        return draw_timestep(
            5,
            step,
            timesteps=1000,
            smallest=0.05,
            largest=0.95,
            schedule="descending",
            steps=30,
        )

    drawn = [draw(step) for step in range(30)]
    assert drawn == [draw(step) for step in range(30)]
    for step, timestep in enumerate(drawn):
        assert 950 - 30 * (step + 1) - 1 <= timestep <= 950 - 30 * step
    assert draw(29) >= 50
    assert draw(30) >= 50  # a step beyond the last keeps to the least
