# SPDX-License-Identifier: GPL-3.0-or-later
"""The untrained parts of the demo backbone, as diffusers and transformers classes."""

from __future__ import annotations

import json
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from demo.grammar import vocabulary
from demo.training.plan import Plan

START, END = "<|startoftext|>", "<|endoftext|>"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.!?'-"
_END_OF_WORD = "</w>"
_SPECIAL = ("bos", "eos", "pad")
TIMESTEPS = 1000
"""Steps of the noise schedule."""


def make_vae(plan: Plan) -> AutoencoderKL:
    """Autoencoder of factor 4, without attention: only its normalisation sees the whole picture."""
    # Any: diffusers annotates the tuples of its configuration as tuples of one.
    make: Any = AutoencoderKL
    return make(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=plan.vae_channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
    )


def make_unet(plan: Plan) -> UNet3DConditionModel:
    """U-Net whose temporal layers begin as the identity, so that an image model comes first."""
    unet = UNet3DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"),
        block_out_channels=plan.unet_channels,
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=plan.text_width,
        attention_head_dim=16,
    )
    for module in unet.modules():
        if isinstance(module, TransformerTemporalModel):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
    return prepared(unet)


def prepared(unet: UNet3DConditionModel) -> UNet3DConditionModel:
    """The U-Net as it is trained: without dropout, with the faster attention."""
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # diffusers fixes it at 0.1 in the temporal convolutions
    # Plain matrix products: torch's fused attention spends half a training step on these short
    # sequences (0.88 against 0.54 s for four clips on one core).
    unet.set_attn_processor(AttnProcessor())
    return unet


def make_text_encoder(plan: Plan, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Two layers; embeddings of unit order, because CLIP's own are meant for a long training."""
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in _SPECIAL}
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=plan.text_width,
            intermediate_size=2 * plan.text_width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=plan.token_limit,
            **ids,
        )
    )
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    nn.init.normal_(embedding.weight, std=0.5)
    return model


def spread_words(
    text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, words: list[str], factor: float
) -> None:
    """Move the embeddings of words (one token each) away from their mean.

    The encoder's layers add so much to an embedding that words it learned nothing of leave it as
    good as equal; then the U-Net cannot learn them either.
    """
    ids = torch.tensor([tokenizer(word).input_ids[1] for word in words])
    embedding = text_encoder.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    with torch.no_grad():
        rows = embedding.weight[ids]
        mean = rows.mean(0)
        embedding.weight[ids] = mean + factor * (rows - mean)


def make_tokenizer(plan: Plan) -> CLIPTokenizer:
    """CLIP's byte pair encoding over the world's words: one token for each of them.

    Other words are spelt letter by letter.
    """
    words = vocabulary()
    letters = [*_LETTERS, *(letter + _END_OF_WORD for letter in _LETTERS)]
    trained = Tokenizer(models.BPE(end_of_word_suffix=_END_OF_WORD))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trained.train_from_iterator(
        words,
        trainers.BpeTrainer(
            vocab_size=10_000,
            min_frequency=1,
            show_progress=False,
            end_of_word_suffix=_END_OF_WORD,
            # Letters that end a word get their numbers in an order that changes from call to call
            # unless they have some already; the numbers decide between merges of equal frequency,
            # and so which word is which token.
            special_tokens=letters,
        ),
    )
    model = json.loads(trained.to_str())["model"]
    tokens = [*dict.fromkeys([*letters, *model["vocab"]]), START, END]
    merges: Any = [tuple(pair) for pair in model["merges"]]  # annotated as strings, taken as pairs
    tokenizer = CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=merges,
        model_max_length=plan.token_limit,
    )
    long = [word for word in words if len(tokenizer(word).input_ids) != 3]
    if long:
        raise ValueError(f"not one token each: {long}")
    return tokenizer


def make_scheduler() -> DDPMScheduler:
    """Noise schedule, and v prediction: at high noise ε says next to nothing about the picture."""
    return DDPMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_schedule="linear",
        beta_start=1e-4,
        beta_end=2e-2,
        prediction_type="v_prediction",
        clip_sample=False,
    )
