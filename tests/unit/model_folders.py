# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder in the diffusers layout whose weights are a few bytes; made without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLASSES = {
    "unet": "UNet3DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
    "scheduler": "DDIMScheduler",
}


def make_folder(folder: Path, *, unet: str = CLASSES["unet"]) -> Path:
    """A complete folder without a card."""
    classes = CLASSES | {"unet": unet}
    write_json(folder / "model_index.json", {part: ["x", name] for part, name in classes.items()})
    for part in ("unet", "vae"):
        write_json(folder / part / "config.json", {"_class_name": classes[part]})
        write_safetensors(folder / part / "diffusion_pytorch_model.safetensors", part.encode())
    write_json(folder / "text_encoder" / "config.json", {"architectures": ["CLIPTextModel"]})
    write_safetensors(folder / "text_encoder" / "model.safetensors", b"text")
    write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "DDIMScheduler"})
    write_json(folder / "tokenizer" / "vocab.json", {"a": 0})
    return folder


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


def write_safetensors(path: Path, data: bytes) -> None:
    """One tensor of bytes: length of the header, header, data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensor = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
