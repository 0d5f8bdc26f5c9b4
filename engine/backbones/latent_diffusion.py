# SPDX-License-Identifier: GPL-3.0-or-later
"""What latent diffusion models in the diffusers layout share (torch, never bpy).

A folder with a U-Net, `AutoencoderKL`, `CLIPTextModel` with its tokenizer, and a scheduler
configuration that gives the noise schedule and the prediction type.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from ..registry import BackboneCard
from .attention import decoder_sites, watched
from .base import Backbone, Fusion, Recording
from .checkpointing import checkpointed_blocks
from .diffusers_folder import load_part, load_scheduler
from .memory import ALL_ON_DEVICE, MemoryUse
from .parallel import OwnModules


class LatentDiffusion(Backbone):
    """A U-Net over latents of single frames, with CLIP's text encoder.

    Args:
        card: Describes the folder to load.
        device: Where to run.
        dtype: Number format of the U-Net's weights and arithmetic; latents stay float32.
        memory: What is done to take less of the device's memory.

    Raises:
        BackboneError: the folder is incomplete, damaged, or of another kind.
    """

    unet_class: ClassVar[Any]
    """Of diffusers. Any: its classes are wrapped in types that pyright cannot follow."""
    checkpointing = False
    """Whether a pass with a graph keeps less and its backward pass runs its blocks again."""

    def __init__(
        self,
        card: BackboneCard,
        *,
        device: torch.device,
        dtype: torch.dtype,
        memory: MemoryUse = ALL_ON_DEVICE,
    ) -> None:
        card.verify()
        disable_progress_bar()  # its bar would run through the command line's own
        self.card = card
        self.device = device
        folder = card.folder
        unet = load_part(self.unet_class, folder, "unet", torch_dtype=dtype)
        # The autoencoder and the text encoder always run in float32: they are a small part of the
        # work, and half precision in the decoder is visible as banding.
        self._vae = load_part(AutoencoderKL, folder, "vae", torch_dtype=torch.float32)
        self._text_encoder = load_part(CLIPTextModel, folder, "text_encoder", dtype=torch.float32)
        self._tokenizer = CLIPTokenizer.from_pretrained(
            folder, subfolder="tokenizer", local_files_only=True
        )
        for model in (unet, self._vae, self._text_encoder):
            # eval(): the temporal convolutions have dropout, which would make equal branches
            # differ.
            model.eval().requires_grad_(False)
            if not memory.rests_parts:
                model.to(device)
        self._unets = OwnModules(unet)
        self._memory = memory
        self._at_work: Any = None
        self.token_limit = int(self._tokenizer.model_max_length)
        scheduler = load_scheduler(folder)
        self.alphas_cumprod = scheduler.alphas_cumprod.double()
        self._prediction_type: str = scheduler.config["prediction_type"]
        self.scaling_factor = float(self._vae.config["scaling_factor"])
        self.latent_channels = int(self._vae.config["latent_channels"])
        self.latent_factor = 2 ** (len(self._vae.config["block_out_channels"]) - 1)

    @property
    def unet(self) -> Any:
        """The U-Net; in a thread of `threads` that thread's own modules over the same weights."""
        return self._unets.get()

    def token_count(self, prompt: str) -> int:
        """See `Backbone.token_count`."""
        return len(self._tokenizer(prompt, truncation=False, verbose=False).input_ids)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """See `Backbone.encode`; one frame at a time, so every frame has the same batch shape."""
        self._put_to_work(self._vae)
        scaled = (frames * 2 - 1).to(self.device, torch.float32)
        # return_dict=False: diffusers annotates its output classes only loosely.
        means = [self._vae.encode(frame, return_dict=False)[0].mean for frame in scaled.split(1)]
        return torch.cat(means) * self.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """See `Backbone.decode`; one frame at a time, so every frame has the same batch shape."""
        self._put_to_work(self._vae)
        scaled = latents.to(self.device, torch.float32) / self.scaling_factor
        frames = torch.cat(
            [self._vae.decode(latent, return_dict=False)[0] for latent in scaled.split(1)]
        )
        return (frames / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """See `Backbone.embed`; longer prompts are cut at the tokenizer's length."""
        self._put_to_work(self._text_encoder)
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
        self._put_to_work(self.unet)
        dtype = self.unet.dtype
        sample = z_t.to(self.device, dtype)
        keeps_less = self.checkpointing or self._memory.recomputes
        saving = checkpointed_blocks(self.unet) if keeps_less else nullcontext()
        with saving, watched(self.unet, record, fuse):
            prediction = self._predict(sample, timestep, embeddings.to(dtype)).to(torch.float32)
        if self._prediction_type == "epsilon":
            return prediction
        # v = alpha_t ε − sigma_t z, so ε = alpha_t v + sigma_t z_t (Salimans & Ho 2022, appendix
        # D).
        alpha_t, sigma_t = self.alpha_sigma(timestep)
        return alpha_t * prediction + sigma_t * z_t

    def _put_to_work(self, part: Any) -> None:
        """Have a part on the device, and the one that worked before it in main memory."""
        if not self._memory.rests_parts or part is self._at_work:
            return
        if self._at_work is not None:
            self._at_work.to("cpu")
        self._at_work = part.to(self.device)

    @abstractmethod
    def _predict(self, sample: Tensor, timestep: int, embeddings: Tensor) -> Tensor:
        """The U-Net's output, ε or v, for and in the shape of `(branches, frames, c, h, w)`."""
