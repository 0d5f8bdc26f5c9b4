# SPDX-License-Identifier: GPL-3.0-or-later
"""Branches in one call and in a call each: the same predictions, up to rounding."""

import pytest
import torch

from engine.backbones.base import Recording
from engine.backbones.loading import load_backbone
from engine.guidance.base import WindowStep
from engine.guidance.dds import GUIDED, DeltaDenoising
from engine.guidance.dreammotion import KEYS, SINGLE, DreamMotion
from engine.job import EditSettings
from engine.registry import find_backbone, read_card
from tests.engine.folders import write_folder

PROMPTS = ("a red ball", "a blue ball")
TOLERANCE = 1e-5
"""Of numbers of about 1: other shapes are summed in another order."""
KEYS_TOLERANCE = 1e-4
"""Of their norm. A layer before them scales up what hardly varies: 8e-6 on the demo's coarsest."""


@pytest.fixture(scope="module", params=["demo", "text_to_video", "stable_diffusion"])
def backbone(request, tmp_path_factory):
    """The demo backbone, and tiny models in the published layouts."""
    if request.param == "demo":
        card = find_backbone("demo")
    else:
        card = read_card(write_folder(tmp_path_factory.mktemp("model") / "tiny", request.param))
    return load_backbone(card, device=torch.device("cpu"), dtype=torch.float32)


def random_latents(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("timestep", [60, 500, 940])
@torch.no_grad()
def test_a_stacked_call_predicts_what_single_calls_do(backbone, timestep):
    z_t, text = random_latents(4, 4, 4, 16, 16), backbone.embed([*PROMPTS, "", ""])
    record = Recording(backbone.sites)
    stacked = backbone.noise_pred(z_t, timestep, text, record=record)
    for branch in range(4):
        own = Recording(backbone.sites)
        one = slice(branch, branch + 1)
        alone = backbone.noise_pred(z_t[one], timestep, text[one], record=own)
        assert torch.allclose(stacked[one], alone, atol=TOLERANCE, rtol=0)
        for site in backbone.sites:
            keys = record.keys[site].unflatten(0, (4, -1))[branch]
            error = (keys - own.keys[site]).norm() / own.keys[site].norm()
            assert error < KEYS_TOLERANCE


@torch.no_grad()
def test_the_passes_of_dds_and_of_dreammotion_agree(backbone):
    """The first stacks prompt and empty prompt, the second gives each a call."""
    z = random_latents(4, 4, 16, 16)
    step = WindowStep(z, z, torch.ones(4, 1, 16, 16), random_latents(4, 4, 16, 16) + 0.1, 300)
    settings = EditSettings(guidance_scale=2)
    stacked = DeltaDenoising(backbone, PROMPTS, settings).reference(step)[GUIDED]
    single = DreamMotion(backbone, PROMPTS, settings).reference(step, (1.0, 1.0))
    assert torch.allclose(stacked, single[SINGLE], atol=TOLERANCE, rtol=0)
    assert sum(name.startswith(KEYS) for name in single) == len(backbone.sites)
