# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): whether a model folder can be used, file by file.

The diffusers layout: `model_index.json` names the class of every part, each part is a folder with
its configuration and weights. Nothing is loaded here, so that a wrong folder is refused before
anything of it is run.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import BackboneError, EngineError
from .schema import loads

VIDEO_KIND = "text_to_video"
"""The kind of model that edits."""
IMAGE_KIND = "stable_diffusion"
"""The kind that only guides another one (`AssdSettings.image_backbone`)."""
UNET_CLASSES = {VIDEO_KIND: "UNet3DConditionModel", IMAGE_KIND: "UNet2DConditionModel"}
"""By kind of backbone: the class that does the work."""
PART_CLASSES = {
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
}
SCHEDULER_CLASSES = ("DDIMScheduler", "DDPMScheduler", "PNDMScheduler")
PREDICTION_TYPES = ("epsilon", "v_prediction")
UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
WEIGHTS = (
    UNET_WEIGHTS,
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
)
TOKENIZER_SETTINGS = "tokenizer/tokenizer_config.json"
VOCABULARIES = (
    ("tokenizer/tokenizer.json",),
    ("tokenizer/vocab.json", "tokenizer/merges.txt"),
)
"""Either form of a tokenizer's vocabulary."""
PICKLE_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
SMALL_BYTES = 1_000_000
"""Files below this are configurations, quickly read whole."""
MOST_HEADER_BYTES = 100_000_000
"""Of safetensors' own reader."""

AGAIN = "Copy or download the folder again."
FAMILIES = (
    "Folders of the ModelScope and Zeroscope family are text-to-video models here, "
    "those of the Stable Diffusion 1 family image models."
)


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file of a model.

    Attributes:
        path: Relative to the model's folder, with slashes.
        sha256: Its checksum; empty: it only has to be there.
        size: In bytes; 0: unknown.
    """

    path: str
    sha256: str = ""
    size: int = 0


def kind_of(folder: Path) -> str:
    """The kind of backbone a folder's model_index.json describes.

    Raises:
        BackboneError: there is none, or its U-Net is of an unknown class.
    """
    found = _class_in(_read_json(folder / "model_index.json"), "unet")
    for kind, unet_class in UNET_CLASSES.items():
        if found == unet_class:
            return kind
    raise BackboneError(
        f"{folder}: unet is {found}; known: {', '.join(UNET_CLASSES.values())}.", hint=FAMILIES
    )


def check_kind(folder: Path, kind: str) -> None:
    """Refuse a kind of backbone that nothing here can load.

    Raises:
        BackboneError: naming the known ones.
    """
    if kind not in UNET_CLASSES:
        raise BackboneError(
            f"{folder}: kind {kind!r} is unknown; known: {', '.join(sorted(UNET_CLASSES))}."
        )


def check_folder(folder: Path, kind: str) -> None:
    """Refuse a folder that holds pickles, names other classes, or is incomplete or cut off.

    Raises:
        BackboneError: naming the file or class and what was expected.
    """
    check_kind(folder, kind)
    _refuse_pickles(folder)
    _check_classes(folder, kind)
    _check_scheduler(folder)
    for name in WEIGHTS:
        if not (folder / name).is_file():
            raise _incomplete(folder, name)
        check_safetensors(folder / name)
    # Without it transformers would guess how many tokens a prompt has and what fills it up.
    if not (folder / TOKENIZER_SETTINGS).is_file():
        raise _incomplete(folder, TOKENIZER_SETTINGS)
    if not any(all((folder / name).is_file() for name in names) for names in VOCABULARIES):
        whole = " or ".join(" and ".join(names) for names in VOCABULARIES)
        raise BackboneError(
            f"{folder} is incomplete: the tokenizer's vocabulary is missing ({whole}).", hint=AGAIN
        )


def check_files(folder: Path, files: Iterable[ModelFile]) -> None:
    """Compare files with what is known of them; takes seconds per gigabyte the first time.

    Raises:
        BackboneError: one is missing, or its size or checksum differs.
    """
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise _incomplete(folder, file.path)
        size = path.stat().st_size
        if file.size and size != file.size:
            raise BackboneError(
                f"{path} is damaged: it has {size:,} bytes, not {file.size:,}.", hint=AGAIN
            )
        if file.sha256 and (found := sha256_of(path)) != file.sha256:
            raise BackboneError(
                f"{path} is damaged: its checksum is {found[:12]}…, not {file.sha256[:12]}….",
                hint=AGAIN,
            )


def fingerprint(folder: Path, files: Iterable[ModelFile]) -> str:
    """A hash that changes when a model does; hashing gigabytes would cost more than a step.

    Files with a listed checksum count by it (`check_files` has compared it when they were loaded),
    small ones by their contents, others by size and time of change.

    Args:
        folder: The model's.
        files: What is known of its files.
    """
    listed = {file.path: file.sha256 for file in files if file.sha256}
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, facts = path.relative_to(folder).as_posix(), path.stat()
        content = listed.get(name)
        if content is None and facts.st_size < SMALL_BYTES:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name} {content or (facts.st_size, facts.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def check_safetensors(path: Path) -> None:
    """Refuse a file that is not safetensors, or shorter or longer than its header says.

    Raises:
        BackboneError: naming the file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = stream.read(length) if length <= min(size, MOST_HEADER_BYTES) else b""
    try:
        tensors = json.loads(header)
        ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
        expected = 8 + length + max(ends)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise BackboneError(f"{path} is not a safetensors file.", hint=AGAIN) from None
    if size != expected:
        raise BackboneError(
            f"{path} is damaged: it has {size:,} bytes, its header says {expected:,}.", hint=AGAIN
        )


def sha256_of(path: Path) -> str:
    """The checksum of a file; read once a process for as long as size and time stay the same."""
    facts = path.stat()
    return _sha256(path, facts.st_size, facts.st_mtime_ns)


def forget_checksums() -> None:
    """Read files anew when their checksum is asked for next: a disk can fail silently."""
    _sha256.cache_clear()


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_pickles(folder: Path) -> None:
    """Whatever says it is a pickle, anywhere in the folder."""
    pickles = sorted(p.name for p in folder.rglob("*") if p.suffix.lower() in PICKLE_SUFFIXES)
    if pickles:
        raise BackboneError(
            f"{folder} holds pickled weights ({pickles[0]}), which can run code when loaded.",
            hint="Convert the model to safetensors and remove the pickle files.",
        )


def _check_classes(folder: Path, kind: str) -> None:
    """model_index.json and the parts' own configurations name the classes that this kind has."""
    index = _read_json(folder / "model_index.json")
    for part, expected in {"unet": UNET_CLASSES[kind], **PART_CLASSES}.items():
        found = _class_in(index, part)
        if found != expected:
            raise BackboneError(
                f"{folder}: {part} is {found}, {expected} is needed.", hint=FAMILIES
            )
        if part == "tokenizer":
            continue  # its configuration may be absent, and names another class in new versions
        config = _read_json(folder / part / "config.json")
        # transformers writes `architectures`, diffusers `_class_name`.
        found = config.get("architectures", config.get("_class_name", expected))
        if found not in (expected, [expected]):
            raise BackboneError(
                f"{folder}: {part}/config.json is of {found}, {expected} is needed.",
                hint=FAMILIES,
            )


def _check_scheduler(folder: Path) -> None:
    config = _read_json(folder / "scheduler" / "scheduler_config.json")
    name, prediction = config.get("_class_name", ""), config.get("prediction_type", "epsilon")
    if name not in SCHEDULER_CLASSES:
        raise BackboneError(
            f"{folder}: scheduler {name!r} is unknown; known: {', '.join(SCHEDULER_CLASSES)}."
        )
    if prediction not in PREDICTION_TYPES:
        raise BackboneError(
            f"{folder}: prediction type {prediction!r} is unknown; "
            f"known: {', '.join(PREDICTION_TYPES)}."
        )


def _class_in(index: dict, part: str) -> object:
    """The class of a part in model_index.json, which lists library and class."""
    entry = index.get(part)
    return entry[1] if isinstance(entry, list) and len(entry) == 2 else entry


def _incomplete(folder: Path, name: str) -> BackboneError:
    return BackboneError(f"{folder} is incomplete: {name} is missing.", hint=AGAIN)


def _read_json(path: Path) -> dict:
    try:
        data = loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise _incomplete(path.parent, path.name) from None
    except (EngineError, UnicodeDecodeError):
        raise BackboneError(f"{path} is not valid JSON.", hint=AGAIN) from None
    if not isinstance(data, dict):
        raise BackboneError(f"{path} is not a JSON object.", hint=AGAIN)
    return data
