# SPDX-License-Identifier: GPL-3.0-or-later
"""The real models' architectures without their weights: full size without memory, and tiny ones.

Configurations are those of the published folders: damo-vilab/text-to-video-ms-1.7b, whose U-Net
Zeroscope shares, and stable-diffusion-v1-5.
"""

import json

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel

from engine.backbones.attention import decoder_sites
from engine.backbones.loading import LoadedBackbones, image_backbone_for, load_backbone
from engine.errors import BackboneError
from engine.guidance.base import WindowStep
from engine.guidance.methods import make_guidance
from engine.job import EditSettings
from engine.registry import read_card
from tests.engine.folders import IMAGE_BLOCKS, SCHEDULE, VIDEO_BLOCKS, write_folder

CPU = torch.device("cpu")


def test_the_full_size_text_to_video_model_has_the_published_size_and_nine_sites():
    with torch.device("meta"):
        unet = UNet3DConditionModel(
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            cross_attention_dim=1024,
            attention_head_dim=64,
            **VIDEO_BLOCKS,
        )
    assert sum(p.numel() for p in unet.parameters()) / 1e9 == pytest.approx(1.411, abs=5e-4)
    sites = decoder_sites(unet)
    assert len(sites) == 9
    assert {site[:11] for site in sites} == {"up_blocks.1", "up_blocks.2", "up_blocks.3"}


def test_the_full_size_image_model_has_the_published_size_and_nine_sites():
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            cross_attention_dim=768,
            attention_head_dim=8,
            **IMAGE_BLOCKS,
        )
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(859.5, abs=0.1)
    assert len(decoder_sites(unet)) == 9


def load(folder):
    return load_backbone(read_card(folder), device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: write_folder(root / kind, kind) for kind in ("text_to_video", "stable_diffusion")}


@pytest.mark.parametrize(("width", "height", "frames"), [(256, 256, 16), (576, 320, 24)])
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


def load_as(folder, copy, kind):
    import shutil

    shutil.copytree(folder, copy)
    card = json.loads((copy / "delta_strip.json").read_text())
    (copy / "delta_strip.json").write_text(json.dumps(card | {"kind": kind}))
    return load(copy)
