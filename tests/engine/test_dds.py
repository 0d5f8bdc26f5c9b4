# SPDX-License-Identifier: GPL-3.0-or-later
"""The delta denoising score against an independent recomputation of the paper's equation."""

import numpy as np
import pytest
import torch

from engine.guidance.dds import Branch, delta_denoising_score
from tests.engine.stand_in import WORDS, StandIn, predict

SHAPE = (4, 3, 5, 6)


def branches(backbone, *, equal):
    generator = torch.Generator().manual_seed(3)
    z_source = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    z_target = (
        z_source.clone() if equal else z_source + 0.3 * torch.randn(SHAPE, generator=generator)
    )
    target_prompt = "a red ball" if equal else "a blue ball"
    noise = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    source = Branch(z_source, backbone.embed(["a red ball", ""]))
    target = Branch(z_target, backbone.embed([target_prompt, ""]))
    return source, target, noise


def recomputed(backbone, source, target, noise, timestep, scale, mask):
    """Eq. 3 of the paper with classifier-free guidance, in NumPy and float64."""
    alpha_bar = backbone.alphas_cumprod[timestep].item()
    values = []
    for branch, prompt in ((target, "a blue ball"), (source, "a red ball")):
        z_t = np.sqrt(alpha_bar) * branch.latents.numpy() + np.sqrt(1 - alpha_bar) * noise.numpy()
        prompt_pred = predict(z_t, timestep, WORDS[prompt])
        empty_pred = predict(z_t, timestep, WORDS[""])
        values.append(scale * prompt_pred + (1 - scale) * empty_pred)
    return (values[0] - values[1]) * mask


@pytest.mark.parametrize("timestep", [50, 500, 948])
@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_the_gradient_equals_the_papers_equation(timestep, scale):
    backbone = StandIn()
    source, target, noise = branches(backbone, equal=False)
    mask = (torch.arange(4 * 30).reshape(4, 1, 5, 6) % 3 > 0).double()
    found = delta_denoising_score(
        backbone,
        source,
        target,
        noise=noise,
        timestep=timestep,
        guidance_scale=scale,
        mask=mask,
    )
    expected = recomputed(backbone, source, target, noise, timestep, scale, mask.numpy())
    assert np.abs(found.numpy() - expected).max() < 1e-6 * np.abs(expected).max()


def test_the_gradient_is_exactly_zero_outside_the_mask():
    backbone = StandIn()
    source, target, noise = branches(backbone, equal=False)
    mask = torch.zeros(4, 1, 5, 6, dtype=torch.float64)
    mask[:, :, 2:, 2:] = 1
    found = delta_denoising_score(
        backbone, source, target, noise=noise, timestep=400, guidance_scale=5, mask=mask
    )
    assert (found[:, :, :2] == 0).all()
    assert (found[:, :, 2:, 2:] != 0).any()


def test_equal_branches_give_exactly_zero():
    backbone = StandIn()
    source, target, noise = branches(backbone, equal=True)
    found = delta_denoising_score(
        backbone, source, target, noise=noise, timestep=400, guidance_scale=7.5
    )
    assert (found == 0).all()


def test_source_and_target_are_predicted_in_calls_of_one_shape():
    backbone = StandIn()
    source, target, noise = branches(backbone, equal=False)
    delta_denoising_score(backbone, source, target, noise=noise, timestep=10, guidance_scale=7.5)
    assert backbone.calls == [((2, *SHAPE), 10), ((2, *SHAPE), 10)]
