# SPDX-License-Identifier: GPL-3.0-or-later
"""The delta denoising score against an independent recomputation of the paper's equation."""

import numpy as np
import pytest
import torch

from engine.guidance.base import WindowStep
from engine.guidance.dds import DeltaDenoising
from engine.job import EditSettings
from tests.engine.stand_in import WORDS, StandIn, predict

SHAPE = (4, 3, 5, 6)


SOURCE, TARGET = "a red ball", "a blue ball"


def make_step(*, timestep=400, equal=False, mask=None):
    generator = torch.Generator().manual_seed(3)
    z_source = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    z_target = (
        z_source.clone() if equal else z_source + 0.3 * torch.randn(SHAPE, generator=generator)
    )
    noise = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    everywhere = torch.ones(4, 1, 5, 6, dtype=torch.float64)
    return WindowStep(z_source, z_target, everywhere if mask is None else mask, noise, timestep)


def dds(backbone, *, scale=7.5, target=TARGET):
    return DeltaDenoising(backbone, (SOURCE, target), EditSettings(guidance_scale=scale))


def recomputed(backbone, step, scale):
    """Eq. 3 of the paper with classifier-free guidance, in NumPy and float64."""
    alpha_bar = backbone.alphas_cumprod[step.timestep].item()
    values = []
    for latents, prompt in ((step.z_target, TARGET), (step.z_source, SOURCE)):
        z_t = np.sqrt(alpha_bar) * latents.numpy() + np.sqrt(1 - alpha_bar) * step.noise.numpy()
        prompt_pred = predict(z_t, step.timestep, WORDS[prompt])
        empty_pred = predict(z_t, step.timestep, WORDS[""])
        values.append(scale * prompt_pred + (1 - scale) * empty_pred)
    return (values[0] - values[1]) * step.mask.numpy()


@pytest.mark.parametrize("timestep", [50, 500, 948])
@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_the_gradient_equals_the_papers_equation(timestep, scale):
    backbone = StandIn()
    mask = (torch.arange(4 * 30).reshape(4, 1, 5, 6) % 3 > 0).double()
    step = make_step(timestep=timestep, mask=mask)
    found = dds(backbone, scale=scale).gradient(step)
    expected = recomputed(backbone, step, scale)
    assert np.abs(found.numpy() - expected).max() < 1e-6 * np.abs(expected).max()


def test_the_gradient_is_exactly_zero_outside_the_mask():
    mask = torch.zeros(4, 1, 5, 6, dtype=torch.float64)
    mask[:, :, 2:, 2:] = 1
    found = dds(StandIn()).gradient(make_step(mask=mask))
    assert (found[:, :, :2] == 0).all()
    assert (found[:, :, 2:, 2:] != 0).any()


def test_equal_branches_give_exactly_zero():
    assert (dds(StandIn(), target=SOURCE).gradient(make_step(equal=True)) == 0).all()


def test_source_and_target_are_predicted_in_calls_of_one_shape():
    backbone = StandIn()
    dds(backbone).gradient(make_step(timestep=10))
    assert backbone.calls == [((2, *SHAPE), 10), ((2, *SHAPE), 10)]
