# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/gpu does on CUDA, here on the CPU: in float64 instead, and with tiny models."""

import pytest
import torch

from engine.backbones.loading import LoadedBackbones, image_backbone_for
from engine.registry import read_card
from tests.engine.folders import write_folder
from tests.engine.on_device import (
    METHODS,
    RELATIVE_TOLERANCE,
    demo_backbone,
    method_gradient,
    short_edit,
)


@pytest.fixture(scope="module")
def exact_and_rounded():
    return demo_backbone("cpu", torch.float64), demo_backbone("cpu", torch.float32)


@pytest.mark.parametrize("method", METHODS)
def test_rounding_moves_a_gradient_by_much_less_than_what_a_device_may(exact_and_rounded, method):
    exact, rounded = exact_and_rounded
    expected, weights = method_gradient(*exact, method)
    found, _ = method_gradient(*rounded, method, weights)
    error = float((found - expected).norm() / expected.norm())
    assert 0 < error < RELATIVE_TOLERANCE[method] / 10
    if method == "dreammotion":
        assert all(weight > 0 for weight in weights)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    options = {"device": torch.device("cpu"), "dtype": torch.bfloat16}
    loaded = LoadedBackbones()
    folders = [
        write_folder(root / kind, kind, dtype=torch.float16)
        for kind in ("text_to_video", "stable_diffusion")
    ]
    video = loaded.get(read_card(folders[0]), **options)
    return video, image_backbone_for(video, str(folders[1]), loaded, **options)


@pytest.mark.parametrize("method", METHODS)
def test_three_steps_of_every_method_in_bfloat16_leave_finite_latents(models, method):
    video, image = models
    state = short_edit(video, image, method, frames=2, width=128, height=64, checkpointing=True)
    assert state.step == 3
    assert state.z_target.shape == (2, 4, 8, 16)
    assert state.z_target.isfinite().all()
    assert all(norm > 0 for norm in state.update_norms)
