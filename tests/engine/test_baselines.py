# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise-and-denoise and DDIM inversion, recomputed in float64 on the stand-in model."""

import numpy as np
import pytest
import torch

from benchmarks.baselines import (
    denoise,
    invert,
    invert_and_resample,
    noise_and_denoise,
    timesteps,
)
from tests.engine.stand_in import WORDS, StandIn, predict

RED, BLUE = "a red ball", "a blue ball"
OMEGA = 2.5


@pytest.fixture
def latents():
    return torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def scales(timestep):
    if timestep is None:
        return 1.0, 0.0
    alpha_bar = np.linspace(0.999, 0.01, 1000)[timestep]
    return np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)


def guided(z, timestep, prompt):
    empty = predict(z, timestep, WORDS[""])
    return empty + OMEGA * (predict(z, timestep, WORDS[prompt]) - empty)


def moved(z, noise, start, end):
    (alpha, sigma), (alpha_end, sigma_end) = scales(start), scales(end)
    return alpha_end * (z - sigma * noise) / alpha + sigma_end * noise


def expected_denoised(z, times, prompt):
    for start, end in zip(times[::-1], [*times[-2::-1], None], strict=True):
        z = moved(z, guided(z, start, prompt), start, end)
    return z


def test_timesteps_are_even_and_end_at_the_strength():
    backbone = StandIn()
    assert timesteps(backbone, 0.5, 5) == [100, 200, 300, 400, 500]
    assert timesteps(backbone, 1.0, 3) == [333, 666, 999]


def test_noise_and_denoise_is_as_recomputed(latents):
    z, noise = latents
    found = noise_and_denoise(
        StandIn(), z, noise, BLUE, strength=0.6, steps=4, guidance_scale=OMEGA
    )
    times = [150, 300, 450, 599]
    alpha, sigma = scales(599)
    noised = alpha * z.double().numpy() + sigma * noise.double().numpy()
    assert np.allclose(found, expected_denoised(noised, times, BLUE), atol=2e-6)


def test_inversion_and_resampling_are_as_recomputed(latents):
    z = latents[0]
    times = [333, 666, 999]
    up = z.double().numpy()
    for start, end in zip([None, *times[:-1]], times, strict=True):
        up = moved(up, predict(up, end, WORDS[RED]), start, end)
    assert np.allclose(invert(StandIn(), z, times, RED), up, atol=2e-6)
    found = invert_and_resample(StandIn(), z, RED, BLUE, steps=3, guidance_scale=OMEGA)
    assert np.allclose(found, expected_denoised(up, times, BLUE), atol=5e-6)


def test_inversion_is_undone_by_sampling_with_the_same_prompt_and_many_steps(latents):
    z, backbone = latents[0] * 0.5, StandIn()
    errors = []
    for steps in (10, 100):
        times = timesteps(backbone, 0.5, steps)
        back = denoise(backbone, invert(backbone, z, times, RED), times, RED, 1.0)
        errors.append(float((back - z).abs().max()))
    assert errors[1] < errors[0] / 5
    assert errors[1] < 0.05


def test_little_noise_changes_little(latents):
    z, noise = latents
    changes = [
        float(
            (
                noise_and_denoise(
                    StandIn(), z, noise, BLUE, strength=strength, steps=4, guidance_scale=OMEGA
                )
                - z
            ).norm()
        )
        for strength in (0.05, 0.3, 0.8)
    ]
    assert changes == sorted(changes)
