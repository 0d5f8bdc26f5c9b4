# SPDX-License-Identifier: GPL-3.0-or-later
"""Random models in the layout of the published folders, tiny or of the published size."""

import dataclasses
import hashlib
import json

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from demo.training.models import make_tokenizer
from demo.training.plan import FULL
from engine.model_folder import UNET_WEIGHTS

# Both families have Stable Diffusion's schedule.
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "set_alpha_to_one": False,
}


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the parts of a model are; `heads` is what its U-Net's configuration means by it."""

    channels: tuple[int, int, int, int]
    heads: int
    vae_channels: tuple[int, int, int, int]
    vae_layers: int
    text_width: int
    text_layers: int
    text_heads: int
    words: int


TINY = {
    "text_to_video": Size((32, 32, 64, 64), 8, (16, 16, 16, 16), 1, 32, 1, 2, 512),
    "stable_diffusion": Size((32, 32, 64, 64), 4, (16, 16, 16, 16), 1, 32, 1, 2, 512),
}
# damo-vilab/text-to-video-ms-1.7b, whose configuration Zeroscope shares, and stable-diffusion-v1-5.
PUBLISHED = {
    "text_to_video": Size((320, 640, 1280, 1280), 64, (128, 256, 512, 512), 2, 1024, 23, 16, 49408),
    "stable_diffusion": Size(
        (320, 640, 1280, 1280), 8, (128, 256, 512, 512), 2, 768, 12, 12, 49408
    ),
}


def make_unet(kind, size):
    """A random U-Net whose temporal layers do something: as made, they are the identity."""
    is_video = kind == "text_to_video"
    dimensions = "3D" if is_video else "2D"
    unet = (UNet3DConditionModel if is_video else UNet2DConditionModel)(
        block_out_channels=size.channels,
        layers_per_block=2,
        cross_attention_dim=size.text_width,
        attention_head_dim=size.heads,
        down_block_types=(f"CrossAttnDownBlock{dimensions}",) * 3 + (f"DownBlock{dimensions}",),
        up_block_types=(f"UpBlock{dimensions}",) + (f"CrossAttnUpBlock{dimensions}",) * 3,
    )
    for module in unet.modules() if is_video else ():
        for name in ("conv4", "proj_out"):
            part = getattr(module, name, None)
            if part is not None:
                last = part[-1] if isinstance(part, torch.nn.Sequential) else part
                torch.nn.init.normal_(last.weight, std=0.02)
    return unet


def make_vae(size):
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=size.vae_channels,
        norm_num_groups=min(32, size.vae_channels[0] // 2),
        layers_per_block=size.vae_layers,
        scaling_factor=0.18215,
    )


def make_text_encoder(size, tokenizer):
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=size.words,
            hidden_size=size.text_width,
            intermediate_size=4 * size.text_width,
            num_hidden_layers=size.text_layers,
            num_attention_heads=size.text_heads,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def write_folder(
    folder, kind, *, sizes=TINY, dtype=torch.float32, frames=16, schedule=SCHEDULE, **card
):
    """A random model of a kind in the layout of the published folders, and its card."""
    torch.manual_seed(7)
    size = sizes[kind]
    tokenizer = make_tokenizer(dataclasses.replace(FULL, token_limit=77))
    models = {
        "unet": make_unet(kind, size),
        "vae": make_vae(size),
        "text_encoder": make_text_encoder(size, tokenizer),
    }
    for name, part in models.items():
        # Not diffusers' own `to`, which warns of layers that these models do not have.
        torch.nn.Module.to(part, dtype).save_pretrained(folder / name)
    rename_as_published(folder)
    tokenizer.save_pretrained(folder / "tokenizer")
    if kind == "text_to_video":
        scheduler = DDIMScheduler(**schedule)
    else:
        scheduler = PNDMScheduler(**schedule, skip_prk_steps=True)
    scheduler.save_pretrained(folder / "scheduler")
    write_index(folder, kind, type(models["unet"]).__name__, type(scheduler).__name__)
    write_card(folder, kind, window_frames=frames, **card)
    return folder


def rename_as_published(folder):
    """Give tensors the names they had when the models were published.

    The text encoder's carried a prefix and a table of positions, the autoencoder's attention
    other names.
    """
    path = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name}": tensor for name, tensor in load_file(path).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(tensors, path, metadata={"format": "pt"})
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old_names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value."}
    old_names[".to_out.0."] = ".proj_attn."
    tensors = {}
    for name, tensor in load_file(path).items():
        for new, old in old_names.items():
            name = name.replace(new, old)
        tensors[name] = tensor
    save_file(tensors, path, metadata={"format": "pt"})


def write_index(folder, kind, unet_class, scheduler_class):
    """model_index.json."""
    is_video = kind == "text_to_video"
    index = {
        "_class_name": "TextToVideoSDPipeline" if is_video else "StableDiffusionPipeline",
        "unet": ["diffusers", unet_class],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", scheduler_class],
    }
    if not is_video:  # as published: parts that are not needed are there too
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def retrain(folder):
    """Other weights of the same size, and the card that belongs to them."""
    path = folder / UNET_WEIGHTS
    data = bytearray(path.read_bytes())
    data[-4] ^= 1  # the last bit of the last weight
    path.write_bytes(data)
    card = json.loads((folder / "delta_strip.json").read_text(encoding="utf-8"))
    for file in card["files"]:
        if file["path"] == UNET_WEIGHTS:
            file["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "delta_strip.json").write_text(json.dumps(card), encoding="utf-8")


def write_card(folder, kind, **values):
    """delta_strip.json."""
    card = {
        "id": folder.name,
        "title": folder.name,
        "kind": kind,
        "licence": "none",
        "working_pixels": 576 * 320,
        "size_multiple": 64,
    }
    (folder / "delta_strip.json").write_text(json.dumps(card | values), encoding="utf-8")
