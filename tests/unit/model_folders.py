# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder in the diffusers layout whose weights are a few bytes; made without torch."""

from __future__ import annotations

import hashlib
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
    write_json(folder / "tokenizer" / "tokenizer_config.json", {"model_max_length": 77})
    (folder / "tokenizer" / "merges.txt").touch()
    return folder


def write_card(
    folder: Path,
    *,
    title: str,
    kind: str = "text_to_video",
    checksums: tuple[str, ...] = (),
    **more: Any,
) -> None:
    """delta_strip.json, which knows the checksums of some files as they are now."""
    files = [
        {"path": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for name in checksums
    ]
    card = {"id": folder.name, "title": title, "kind": kind, "licence": "CC0-1.0", "files": files}
    card |= {"window_frames": 24, "working_pixels": 184320, "size_multiple": 64}
    write_json(folder / "delta_strip.json", card | more)


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
