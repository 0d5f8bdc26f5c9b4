# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo backbone without its temporal layers: an image model of its own."""

import dataclasses

import pytest
import torch

from demo.grammar import caption
from demo.sampling import sample_spec
from demo.world import render
from engine.backbones.image_mode import ImageMode, temporal_layers_bypassed
from engine.backbones.loading import load_backbone
from engine.errors import BackboneError
from engine.registry import find_backbone, read_card
from tests.engine.folders import write_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random model whose temporal layers do something."""
    folder = write_folder(tmp_path_factory.mktemp("tiny"), "text_to_video", image_mode=True)
    return load_backbone(read_card(folder), device=CPU, dtype=torch.float32)


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(4)
    return torch.randn(1, 4, 4, 12, 16, generator=generator)


def test_every_frame_is_predicted_for_itself(tiny, clip):
    image, text = ImageMode(tiny), tiny.embed(["a red ball over grass"])
    whole = image.noise_pred(clip, 400, text)
    turned = image.noise_pred(clip.flip(1), 400, text).flip(1)
    assert torch.allclose(whole, turned, atol=1e-5)
    alone = image.noise_pred(clip[:, 2:3], 400, text)
    assert torch.allclose(whole[:, 2:3], alone, atol=1e-5)
    video = tiny.noise_pred(clip, 400, text)
    assert not torch.allclose(video, tiny.noise_pred(clip.flip(1), 400, text).flip(1), atol=1e-2)


def test_the_video_model_is_itself_again_afterwards(tiny, clip):
    text = tiny.embed(["a red ball over grass"])
    before = tiny.noise_pred(clip, 400, text)
    ImageMode(tiny).noise_pred(clip, 400, text)
    with pytest.raises(ZeroDivisionError), temporal_layers_bypassed(tiny.unet):
        _ = 1 / 0
    assert torch.equal(tiny.noise_pred(clip, 400, text), before)


def test_it_shares_latents_and_prompts_with_the_video_model(tiny):
    image, frames = ImageMode(tiny), torch.rand(2, 3, 32, 48)
    assert torch.equal(image.encode(frames), tiny.encode(frames))
    assert torch.equal(image.decode(tiny.encode(frames)), tiny.decode(tiny.encode(frames)))
    assert torch.equal(image.embed(["a ball"]), tiny.embed(["a ball"]))
    assert image.token_count("a ball") == tiny.token_count("a ball")
    assert torch.equal(image.alphas_cumprod, tiny.alphas_cumprod)


def test_the_demo_backbone_knows_what_is_to_be_seen_in_a_frame():
    """The right caption explains a frame's noise better than one with another colour."""
    card = find_backbone("demo")
    if not card.image_mode:
        pytest.skip("the demo backbone's weights were trained on clips only")
    demo = load_backbone(card, device=CPU, dtype=torch.float32)
    image, gain = ImageMode(demo), 0.0
    for seed in range(70_000, 70_006):
        spec = sample_spec(seed)
        other = dataclasses.replace(spec, color="red" if spec.color != "red" else "blue")
        frames = torch.from_numpy(render(spec).frames[:3]).permute(0, 3, 1, 2) / 255
        latents = demo.encode(frames)[None]
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
        text = demo.embed([caption(spec), caption(other)])
        z_t = demo.add_noise(latents, noise, 500)
        right, wrong = (
            (image.noise_pred(z_t, 500, one[None]) - noise).square().mean() for one in text
        )
        gain += float(wrong - right)
    assert gain > 0


def test_a_model_trained_on_clips_only_is_refused(tiny):
    plain = load_backbone(tiny.card, device=CPU, dtype=torch.float32)
    plain.card = dataclasses.replace(tiny.card, image_mode=False)
    with pytest.raises(BackboneError, match="no image mode"):
        ImageMode(plain)
