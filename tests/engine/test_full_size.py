# SPDX-License-Identifier: GPL-3.0-or-later
"""The real models' architectures without their weights: full size without memory, and tiny ones."""

import dataclasses
import json
import shutil

import pytest
import torch

from demo.training.models import make_tokenizer
from demo.training.plan import FULL as PLAN
from engine import registry
from engine.backbones.attention import decoder_sites
from engine.backbones.loading import LoadedBackbones, image_backbone_for, load_backbone
from engine.errors import BackboneError
from engine.guidance.base import WindowStep
from engine.guidance.methods import make_guidance
from engine.job import EditSettings
from engine.model_folder import UNET_WEIGHTS, ModelFile, sha256_of
from engine.registry import known_models, read_card
from tests.engine.folders import (
    PUBLISHED,
    SCHEDULE,
    make_text_encoder,
    make_unet,
    make_vae,
    write_folder,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kind", "unet_parameters", "memory"),
    [("text_to_video", 1_411_233_860, 4.5), ("stable_diffusion", 859_520_964, 2.5)],
)
def test_the_full_size_models_have_the_published_sizes_and_nine_sites(
    kind, unet_parameters, memory
):
    with torch.device("meta"):
        unet = make_unet(kind, PUBLISHED[kind])
        others = [
            make_vae(PUBLISHED[kind]),
            make_text_encoder(PUBLISHED[kind], make_tokenizer(PLAN)),
        ]
    assert count(unet) == unet_parameters
    sites = decoder_sites(unet)
    assert len(sites) == 9
    assert {site[:11] for site in sites} == {"up_blocks.1", "up_blocks.2", "up_blocks.3"}
    gigabytes = (2 * count(unet) + 4 * sum(count(part) for part in others)) / 1e9
    assert gigabytes == pytest.approx(memory, abs=0.05)
    listed = [m for m in known_models() if m.kind == kind and m.repository]
    assert {model.memory_gigabytes for model in listed} == {memory}


def count(model):
    return sum(p.numel() for p in model.parameters())


def load(folder):
    return load_backbone(read_card(folder), device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: write_folder(root / kind, kind) for kind in ("text_to_video", "stable_diffusion")}


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(256, 256, 16), (576, 320, 16), (576, 320, 24)]
)
def test_a_tiny_model_in_the_real_layout_runs_every_method(folders, width, height, frames):
    """ModelScope's and Zeroscope's picture sizes, halved to save time, and numbers of frames."""
    video = load(folders["text_to_video"])
    image = image_backbone_for(
        video,
        str(folders["stable_diffusion"]),
        LoadedBackbones(),
        device=CPU,
        dtype=torch.float32,
    )
    assert (video.latent_factor, video.token_limit) == (8, 77)
    shape = (frames, 4, height // 16, width // 16)
    z_source, noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(frames, 1, *shape[2:])
    step = WindowStep(z_source, z_source + 0.1, mask, noise, 300)
    prompts, settings = ("a red ball", "a blue ball"), EditSettings(guidance_scale=9.0)
    for method, weights in (("sds", ()), ("dds", ()), ("dreammotion", (1e3, 1e3)), ("assd", ())):
        guidance = make_guidance(method, video, prompts, settings, image_backbone=image)
        found = guidance.gradient(step, weights)
        assert found.shape == shape
        assert found.isfinite().all()
        assert found.abs().sum() > 0


def test_dds_at_zeroscope_s_own_latents(folders):
    """16 frames of 576 × 320: 72 × 40 latents, nothing halved."""
    video = load(folders["text_to_video"])
    shape = (16, 4, 320 // video.latent_factor, 576 // video.latent_factor)
    assert shape[2:] == (40, 72)
    z_source, noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    step = WindowStep(z_source, z_source + 0.1, torch.ones(16, 1, 40, 72), noise, 300)
    settings = EditSettings(guidance_scale=1)  # no passes of the empty prompt: half the time
    guidance = make_guidance("dds", video, ("a red ball", "a blue ball"), settings)
    found = guidance.gradient(step)
    assert found.shape == shape
    assert found.isfinite().all()
    assert found.abs().sum() > 0


@torch.no_grad()
def test_v_prediction_of_the_published_layout_is_turned_into_noise(folders, tmp_path):
    folder = shutil.copytree(folders["text_to_video"], tmp_path / "v")
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config["prediction_type"] == "epsilon"
    path.write_text(json.dumps(config | {"prediction_type": "v_prediction"}), encoding="utf-8")
    video, as_v = load(folders["text_to_video"]), load(folder)
    z_t = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    text = video.embed(["a red ball"])
    for timestep in (10, 500, 990):
        output = video.noise_pred(z_t, timestep, text)
        alpha_t, sigma_t = video.alpha_sigma(timestep)
        found = as_v.noise_pred(z_t, timestep, text)
        assert torch.allclose(found, alpha_t * output + sigma_t * z_t, atol=1e-6)


def test_an_image_model_looks_at_every_frame_for_itself(folders):
    image = load(folders["stable_diffusion"])
    text = image.embed(["a red ball"])
    z_t = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = image.noise_pred(z_t, 300, text)
    turned = image.noise_pred(z_t.flip(1), 300, text).flip(1)
    assert torch.allclose(whole, turned, atol=1e-5)


def test_an_image_model_of_another_schedule_or_kind_is_refused(folders, tmp_path):
    video = load(folders["text_to_video"])
    other = write_folder(
        tmp_path / "other", "stable_diffusion", schedule=SCHEDULE | {"beta_end": 0.02}
    )
    options = {"device": CPU, "dtype": torch.float32}
    with pytest.raises(BackboneError, match=r"noise schedules of .* differ by"):
        image_backbone_for(video, str(other), LoadedBackbones(), **options)
    with pytest.raises(BackboneError, match="joint guidance needs an image model"):
        image_backbone_for(video, str(folders["text_to_video"]), LoadedBackbones(), **options)
    with pytest.raises(BackboneError, match="no image mode"):
        image_backbone_for(video, "", LoadedBackbones(), **options)
    with pytest.raises(BackboneError, match="UNet3DConditionModel is needed"):
        load_as(folders["stable_diffusion"], tmp_path / "wrong", "text_to_video")


class Kept:
    """Stands for `LoadedBackbones`: always this backbone."""

    def __init__(self, backbone):
        self.backbone = backbone

    def get(self, *_, **__):
        return self.backbone


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("latent_channels", lambda n: 4 * n, "has 4 channels of a latent, .* has 16"),
        ("latent_factor", lambda n: n // 2, "has 8 pixels per latent, .* has 4"),
        ("alphas_cumprod", lambda a: a[:500], "has 1000 timesteps, .* has 500"),
        ("scaling_factor", lambda f: 0.13025, "has 0.18215 as scaling factor .* has 0.13025"),
    ],
)
def test_an_image_model_of_other_latents_is_refused(folders, monkeypatch, name, change, message):
    video, image = load(folders["text_to_video"]), load(folders["stable_diffusion"])
    options = {"device": CPU, "dtype": torch.float32}
    folder = str(folders["stable_diffusion"])
    assert image_backbone_for(video, folder, Kept(image), **options) is image
    monkeypatch.setattr(image, name, change(getattr(image, name)))
    with pytest.raises(BackboneError, match=message) as caught:
        image_backbone_for(video, folder, Kept(image), **options)
    assert caught.value.hint


def test_a_folder_without_a_card_is_recognised_and_loaded(folders, tmp_path, monkeypatch):
    folder = shutil.copytree(folders["stable_diffusion"], tmp_path / "no card")
    (folder / "delta_strip.json").unlink()
    listed = next(model for model in known_models() if model.kind == "stable_diffusion")
    file = ModelFile(path=UNET_WEIGHTS, sha256=sha256_of(folder / UNET_WEIGHTS))
    listed = dataclasses.replace(listed, files=(file,))
    monkeypatch.setattr(registry, "known_models", lambda: [listed])
    card = registry.find_backbone(str(folder))
    assert (card.id, card.licence) == ("stable-diffusion", "CreativeML-OpenRAIL-M")
    image = load_backbone(card, device=CPU, dtype=torch.float32)
    z_t = torch.randn(1, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    text = image.embed(["a red ball"])
    as_carded = load(folders["stable_diffusion"]).noise_pred(z_t, 300, text)
    assert torch.equal(image.noise_pred(z_t, 300, text), as_carded)


def load_as(folder, copy, kind):
    shutil.copytree(folder, copy)
    card = json.loads((copy / "delta_strip.json").read_text())
    (copy / "delta_strip.json").write_text(json.dumps(card | {"kind": kind}))
    return load(copy)
