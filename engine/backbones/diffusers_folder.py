# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads model folders in the diffusers layout, and refuses others (torch, never bpy)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler

from ..errors import BackboneError
from ..schema import loads

SCHEDULERS = {
    "DDIMScheduler": DDIMScheduler,
    "DDPMScheduler": DDPMScheduler,
    "PNDMScheduler": PNDMScheduler,
}
CLASSES = {
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


def load_part(cls: Any, folder: Path, part: str, **options: Any) -> Any:
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


def check_folder(folder: Path, unet_class: str, hint: str) -> None:
    """Refuse a folder that is incomplete, holds pickled weights, or names other classes.

    Args:
        folder: The model's.
        unet_class: The class of U-Net that model_index.json must name.
        hint: What to say where it names another one.

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
    for part, expected in {"unet": unet_class, **CLASSES}.items():
        entry = index.get(part)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else entry
        if found != expected:
            raise BackboneError(
                f"{folder}: {part} is {found}, {expected} is needed.",
                hint=hint,
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


def load_scheduler(folder: Path) -> DDIMScheduler | DDPMScheduler | PNDMScheduler:
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
