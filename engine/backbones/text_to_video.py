# SPDX-License-Identifier: GPL-3.0-or-later
"""Latent text-to-video models of the ModelScope family (torch, never bpy).

A folder in the diffusers layout: `UNet3DConditionModel`, `AutoencoderKL`, `CLIPTextModel` with its
tokenizer, and a scheduler configuration that gives the noise schedule and the prediction type.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from ..errors import BackboneError
from ..registry import BackboneCard
from ..schema import loads
from .attention import Fusion, Recording, decoder_sites, watched
from .base import Backbone

SCHEDULERS = {"DDIMScheduler": DDIMScheduler, "DDPMScheduler": DDPMScheduler}
CLASSES = {
    "unet": "UNet3DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
}
WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
PICKLE_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}


class TextToVideo(Backbone):
    """ModelScope's architecture: a spatial and temporal U-Net over latents of single frames.

    Args:
        card: Describes the folder to load.
        device: Where to run.
        dtype: Number format of the U-Net's weights and arithmetic; latents stay float32.
    """

    def __init__(self, card: BackboneCard, *, device: torch.device, dtype: torch.dtype) -> None:
        check_folder(card.folder)
        card.verify()
        disable_progress_bar()  # its bar would run through the command line's own
        self.card = card
        self.device = device
        folder = card.folder
        self.unet = _load(UNet3DConditionModel, folder, "unet", torch_dtype=dtype)
        # The autoencoder and the text encoder always run in float32: they are a small part of the
        # work, and half precision in the decoder is visible as banding.
        self._vae = _load(AutoencoderKL, folder, "vae", torch_dtype=torch.float32)
        self._text_encoder = _load(CLIPTextModel, folder, "text_encoder", dtype=torch.float32)
        self._tokenizer = CLIPTokenizer.from_pretrained(
            folder, subfolder="tokenizer", local_files_only=True
        )
        for model in (self.unet, self._vae, self._text_encoder):
            # eval(): the temporal convolutions have dropout, which would make equal branches
            # differ.
            model.eval().requires_grad_(False).to(device)
        self.token_limit = int(self._tokenizer.model_max_length)
        scheduler = load_scheduler(folder)
        self.alphas_cumprod = scheduler.alphas_cumprod.double()
        self._prediction_type: str = scheduler.config["prediction_type"]
        self._scaling_factor: float = self._vae.config["scaling_factor"]
        self.latent_factor = 2 ** (len(self._vae.config["block_out_channels"]) - 1)

    def token_count(self, prompt: str) -> int:
        """See `Backbone.token_count`."""
        return len(self._tokenizer(prompt, truncation=False, verbose=False).input_ids)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """See `Backbone.encode`; one frame at a time, so every frame has the same batch shape."""
        scaled = (frames * 2 - 1).to(self.device, torch.float32)
        # return_dict=False: diffusers annotates its output classes only loosely.
        means = [self._vae.encode(frame, return_dict=False)[0].mean for frame in scaled.split(1)]
        return torch.cat(means) * self._scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """See `Backbone.decode`; one frame at a time, so every frame has the same batch shape."""
        scaled = latents.to(self.device, torch.float32) / self._scaling_factor
        frames = torch.cat(
            [self._vae.decode(latent, return_dict=False)[0] for latent in scaled.split(1)]
        )
        return (frames / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """See `Backbone.embed`; longer prompts are cut at the tokenizer's length."""
        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.token_limit,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(self.device)
        # One prompt a call: equal prompts then give bit-equal embeddings wherever they stand.
        return torch.cat([self._text_encoder(row[None]).last_hidden_state for row in tokens])

    @property
    def sites(self) -> tuple[str, ...]:
        """See `Backbone.sites`."""
        return decoder_sites(self.unet)

    def noise_pred(
        self,
        z_t: Tensor,
        timestep: int,
        embeddings: Tensor,
        *,
        record: Recording | None = None,
        fuse: Fusion | None = None,
    ) -> Tensor:
        """See `Backbone.noise_pred`."""
        dtype = self.unet.dtype
        sample = z_t.transpose(1, 2).to(self.device, dtype)  # diffusers: (b, c, frames, h, w)
        with watched(self.unet, record, fuse):
            prediction = self.unet(sample, timestep, embeddings.to(dtype), return_dict=False)[0]
        prediction = prediction.to(torch.float32).transpose(1, 2)
        if self._prediction_type == "epsilon":
            return prediction
        # v = alpha_t ε − sigma_t z, so ε = alpha_t v + sigma_t z_t (Salimans & Ho 2022, appendix
        # D).
        alpha_t, sigma_t = self.alpha_sigma(timestep)
        return alpha_t * prediction + sigma_t * z_t


def _load(cls: Any, folder: Path, part: str, **options: Any) -> Any:
    """A model with every one of its weights from the folder, none left at random.

    Any: diffusers and transformers wrap their classes in types that pyright cannot follow.
    """
    model, info = cls.from_pretrained(
        folder,
        subfolder=part,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        **options,
    )
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        keys = sorted(map(str, info.get(problem, ())))
        if keys:
            raise BackboneError(
                f"{folder / part} does not fit its configuration: {len(keys)} "
                f"{problem.replace('_', ' ')}, the first is {keys[0]}.",
                hint="The folder may be damaged or incomplete: copy or download it again.",
            )
    return model


def check_folder(folder: Path) -> None:
    """Refuse a folder that is incomplete, holds pickled weights, or names other classes.

    Raises:
        BackboneError: naming the file or class and what was expected.
    """
    pickles = sorted(p.name for p in folder.rglob("*") if p.suffix.lower() in PICKLE_SUFFIXES)
    if pickles:
        raise BackboneError(
            f"{folder} holds pickled weights ({pickles[0]}), which can run code when loaded.",
            hint="Convert the model to safetensors and remove the pickle files.",
        )
    index = _read_json(folder / "model_index.json")
    for part, expected in CLASSES.items():
        entry = index.get(part)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else entry
        if found != expected:
            raise BackboneError(
                f"{folder}: {part} is {found}, a text-to-video folder has {expected}.",
                hint="Only ModelScope and Zeroscope style folders are read by this loader.",
            )
    for part, weights in WEIGHTS.items():
        for name in ("config.json", weights):
            if not (folder / part / name).is_file():
                raise BackboneError(
                    f"{folder} is incomplete: {part}/{name} is missing.",
                    hint="Copy or download the folder again.",
                )
    if not any((folder / "tokenizer" / n).is_file() for n in ("tokenizer.json", "vocab.json")):
        raise BackboneError(
            f"{folder} is incomplete: the tokenizer's vocabulary is missing.",
            hint="Copy or download the folder again.",
        )


def load_scheduler(folder: Path) -> DDIMScheduler | DDPMScheduler:
    """The noise schedule of a folder.

    Raises:
        BackboneError: unknown scheduler class or prediction type.
    """
    config = _read_json(folder / "scheduler" / "scheduler_config.json")
    name = config.get("_class_name", "")
    if name not in SCHEDULERS:
        raise BackboneError(
            f"{folder}: scheduler {name!r} is unknown; known: {', '.join(sorted(SCHEDULERS))}."
        )
    if config.get("prediction_type", "epsilon") not in ("epsilon", "v_prediction"):
        raise BackboneError(
            f"{folder}: prediction type {config['prediction_type']!r} is unknown; "
            "known: epsilon, v_prediction."
        )
    return SCHEDULERS[name].from_config(config)


def _read_json(path: Path) -> dict:
    try:
        data = loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BackboneError(
            f"{path.parent} is incomplete: {path.name} is missing.",
            hint="Copy or download the folder again.",
        ) from None
    if not isinstance(data, dict):
        raise BackboneError(f"{path} is not a JSON object.")
    return data
