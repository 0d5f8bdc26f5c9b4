# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a trained model as a backbone folder: diffusers layout, float16, card with checksums."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from demo.training.models import make_scheduler, prepared
from engine.registry import CARD_NAME, DEFAULT_BACKBONE, MODELS_FOLDER

_CLASSES = {
    "unet": ("diffusers", "UNet3DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "scheduler": ("diffusers", "DDPMScheduler"),
}


@dataclass(frozen=True)
class Parts:
    """The trained modules of a backbone."""

    vae: AutoencoderKL
    unet: UNet3DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer


def load(folder: Path) -> Parts:
    """The parts of an exported model, in float32 and as the training makes them."""
    disable_progress_bar()

    def part(kind: Any, name: str) -> Any:  # diffusers and transformers share no type for it
        return kind.from_pretrained(folder / name, local_files_only=True).float()

    return Parts(
        vae=part(AutoencoderKL, "vae"),
        unet=prepared(part(UNet3DConditionModel, "unet")),
        text_encoder=part(CLIPTextModel, "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
    )


def export(parts: Parts, folder: Path) -> None:
    """Write `folder` anew; the card is the installed demo backbone's, with new checksums."""
    disable_progress_bar()
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in ("vae", "unet", "text_encoder"):
        _in_half(getattr(parts, name)).save_pretrained(part / name, safe_serialization=True)
    for name in ("vae", "unet"):
        _forget_origin(part / name / "config.json")
    parts.tokenizer.save_pretrained(part / "tokenizer")
    make_scheduler().save_pretrained(part / "scheduler")
    index = {"_class_name": "TextToVideoSDPipeline", **{n: list(c) for n, c in _CLASSES.items()}}
    _write_json(part / "model_index.json", index)
    card = json.loads((MODELS_FOLDER / DEFAULT_BACKBONE / CARD_NAME).read_text(encoding="utf-8"))
    card["image_mode"] = True  # stages 2 and 4 train it
    card["files"] = [
        {
            "path": path.relative_to(part).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(part.rglob("*.safetensors"))
    ]
    _write_json(part / CARD_NAME, card)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _in_half(module: Any) -> Any:
    """A copy on the CPU; Any: diffusers and transformers model classes share no type for it."""
    return copy.deepcopy(module).cpu().half()


def _forget_origin(path: Path) -> None:
    """Without the folder of this machine that the part was loaded from, which diffusers notes."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    _write_json(path, values)


def _write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
