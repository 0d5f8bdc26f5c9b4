# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the parts of a model folder in the diffusers layout (torch, never bpy)."""

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


def load_scheduler(folder: Path) -> DDIMScheduler | DDPMScheduler | PNDMScheduler:
    """The noise schedule of a folder that `engine.model_folder.check_folder` let pass."""
    path = folder / "scheduler" / "scheduler_config.json"
    config = loads(path.read_text(encoding="utf-8"))
    return SCHEDULERS[config["_class_name"]].from_config(config)
