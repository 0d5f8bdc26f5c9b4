# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiny random models in the layout of the published folders."""

import dataclasses
import json

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from transformers import CLIPTextConfig, CLIPTextModel

from demo.training.models import make_tokenizer
from demo.training.plan import FULL

VIDEO_BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock3D",) * 3 + ("DownBlock3D",),
    "up_block_types": ("UpBlock3D",) + ("CrossAttnUpBlock3D",) * 3,
}
IMAGE_BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
# Both families have Stable Diffusion's schedule.
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "set_alpha_to_one": False,
}
TINY_CHANNELS = (32, 32, 64, 64)


def write_folder(folder, kind, *, frames=16, schedule=SCHEDULE, **card):
    """A tiny random model of a kind in the layout of the published folders."""
    torch.manual_seed(7)
    if kind == "text_to_video":
        unet = UNet3DConditionModel(
            block_out_channels=TINY_CHANNELS,
            layers_per_block=2,
            cross_attention_dim=32,
            attention_head_dim=8,
            **VIDEO_BLOCKS,
        )
        for module in unet.modules():  # its temporal layers begin as the identity
            for name in ("conv4", "proj_out"):
                part = getattr(module, name, None)
                if part is not None:
                    last = part[-1] if isinstance(part, torch.nn.Sequential) else part
                    torch.nn.init.normal_(last.weight, std=0.02)
        scheduler, pipeline = DDIMScheduler(**schedule), "TextToVideoSDPipeline"
    else:
        unet = UNet2DConditionModel(
            block_out_channels=TINY_CHANNELS,
            layers_per_block=2,
            cross_attention_dim=32,
            attention_head_dim=4,
            **IMAGE_BLOCKS,
        )
        scheduler, pipeline = PNDMScheduler(**schedule, skip_prk_steps=True), "StableDiffusion"
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 16, 16, 16),
        norm_num_groups=8,
        layers_per_block=1,
        mid_block_add_attention=False,
        scaling_factor=0.18215,
    )
    tokenizer = make_tokenizer(dataclasses.replace(FULL, token_limit=77))
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for name, part in (("unet", unet), ("vae", vae), ("text_encoder", text)):
        part.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": pipeline,
        "unet": ["diffusers", type(unet).__name__],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", type(scheduler).__name__],
    }
    if kind == "stable_diffusion":  # as published: parts that are not needed are there too
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    card = card | {
        "id": folder.name,
        "title": folder.name,
        "kind": kind,
        "licence": "none",
        "window_frames": frames,
        "working_pixels": 576 * 320,
        "size_multiple": 64,
    }
    (folder / "delta_strip.json").write_text(json.dumps(card), encoding="utf-8")
    return folder
