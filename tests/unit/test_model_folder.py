# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model folder must hold and what makes it refused. No torch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from engine.errors import BackboneError
from engine.model_folder import (
    SMALL_BYTES,
    UNET_CLASSES,
    UNET_WEIGHTS,
    WEIGHTS,
    ModelFile,
    check_files,
    check_folder,
    fingerprint,
    kind_of,
    sha256_of,
)
from tests.unit.model_folders import change_json, make_folder

KIND = "text_to_video"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "modèle folder")


def test_a_complete_folder_is_accepted(folder: Path) -> None:
    for kind, unet in UNET_CLASSES.items():
        made = make_folder(folder.with_name(kind), unet=unet)
        assert kind_of(made) == kind
        check_folder(made, kind)


@pytest.mark.parametrize(
    "missing",
    [
        *WEIGHTS,
        "model_index.json",
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/merges.txt",
        "scheduler/scheduler_config.json",
    ],
)
def test_an_incomplete_folder_is_refused_and_the_file_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(BackboneError, match=rf"incomplete.*{missing.rsplit('/', 1)[-1]}"):
        check_folder(folder, KIND)


def test_a_folder_without_a_vocabulary_is_refused(folder: Path) -> None:
    (folder / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(BackboneError, match="vocabulary is missing"):
        check_folder(folder, KIND)


@pytest.mark.parametrize(
    "name",
    [
        "unet/diffusion_pytorch_model.bin",
        "text_encoder/pytorch_model.BIN",
        "v1-5-pruned.ckpt",
        "original/weights.pt",
        "zs2_576w/text2video_pytorch_model.pth",
        "data.pkl",
    ],
)
def test_a_folder_with_a_pickle_anywhere_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(BackboneError, match=rf"pickled weights \({name.rsplit('/', 1)[-1]}\)"):
        check_folder(folder, KIND)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("unet", "UNet2DConditionModel"),
        ("unet", "UNetMotionModel"),
        ("vae", "AutoencoderKLWan"),
        ("text_encoder", "T5EncoderModel"),
        ("tokenizer", "T5Tokenizer"),
    ],
)
def test_another_class_in_the_index_is_refused_and_named(
    folder: Path, part: str, name: str
) -> None:
    change_json(folder / "model_index.json", **{part: ["diffusers", name]})
    with pytest.raises(BackboneError, match=f"{part} is {name}, .* is needed"):
        check_folder(folder, KIND)


@pytest.mark.parametrize("change", [{"unet": "x"}, {"vae": None}, {"tokenizer": ["transformers"]}])
def test_an_index_of_another_form_is_refused(folder: Path, change: dict) -> None:
    change_json(folder / "model_index.json", **change)
    with pytest.raises(BackboneError, match=r"is .*, (UNet3D|Auto|CLIP)\w+ is needed"):
        check_folder(folder, KIND)


def test_a_folder_of_an_unknown_class_has_no_kind(folder: Path) -> None:
    change_json(folder / "model_index.json", unet=["diffusers", "WanTransformer3DModel"])
    with pytest.raises(BackboneError, match=r"unet is WanTransformer3DModel; known: UNet3D"):
        kind_of(folder)
    with pytest.raises(BackboneError, match="kind 'wan' is unknown"):
        check_folder(folder, "wan")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("unet", {"_class_name": "UNet2DConditionModel"}),
        ("vae", {"_class_name": "AutoencoderTiny"}),
        ("text_encoder", {"architectures": ["CLIPTextModelWithProjection"]}),
    ],
)
def test_a_configuration_of_another_class_than_the_index_is_refused(
    folder: Path, part: str, changes: dict
) -> None:
    change_json(folder / part / "config.json", **changes)
    with pytest.raises(BackboneError, match=rf"{part}/config\.json is of .*is needed"):
        check_folder(folder, KIND)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "EulerDiscreteScheduler"}, "scheduler 'EulerDiscreteScheduler'"),
        ({"prediction_type": "flow_prediction"}, "prediction type 'flow_prediction'"),
    ],
)
def test_an_unknown_schedule_is_refused(folder: Path, changes: dict, message: str) -> None:
    change_json(folder / "scheduler" / "scheduler_config.json", **changes)
    with pytest.raises(BackboneError, match=message):
        check_folder(folder, KIND)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1, "a": 2}'])
def test_a_broken_configuration_is_refused_and_named(folder: Path, text: str) -> None:
    (folder / "unet" / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(BackboneError, match=r"unet.config\.json is not"):
        check_folder(folder, KIND)


def test_a_wrong_size_is_refused_before_anything_is_read(folder: Path) -> None:
    file = ModelFile(path=UNET_WEIGHTS, size=5, sha256="0" * 64)
    with pytest.raises(BackboneError, match=r"bytes, not 5\."):
        check_files(folder, [file])


@pytest.mark.parametrize("change", [-1, 1])
def test_weights_that_are_cut_off_or_too_long_are_refused_without_a_checksum(
    folder: Path, change: int
) -> None:
    path = folder / UNET_WEIGHTS
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + b"x")
    with pytest.raises(BackboneError, match="its header says"):
        check_folder(folder, KIND)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a zipped pickle",
        b"\x02\x00\x00\x00\x00\x00\x00\x00[]",
        b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
        b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
    ],
)
def test_a_file_that_is_not_safetensors_inside_is_refused(folder: Path, data: bytes) -> None:
    (folder / UNET_WEIGHTS).write_bytes(data)
    with pytest.raises(BackboneError, match="is not a safetensors file"):
        check_folder(folder, KIND)


def test_a_checksum_is_computed_again_when_the_file_changed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"three")
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_listed_file_that_is_missing_is_refused_with_or_without_a_checksum(folder: Path) -> None:
    with pytest.raises(BackboneError, match=r"incomplete: vae/extra\.json is missing"):
        check_files(folder, [ModelFile(path="vae/extra.json")])


def test_a_fingerprint_changes_with_checksum_contents_or_time(folder: Path) -> None:
    listed = [ModelFile(path=UNET_WEIGHTS, sha256="a" * 64)]
    base = fingerprint(folder, listed)
    assert fingerprint(folder, [ModelFile(path=UNET_WEIGHTS, sha256="b" * 64)]) != base
    changed = folder / "vae" / "config.json"
    facts, data = changed.stat(), changed.read_bytes()
    changed.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(changed, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert fingerprint(folder, listed) != base
    changed.write_bytes(data)
    assert fingerprint(folder, listed) == base
    large = folder / WEIGHTS[1]
    large.write_bytes(bytes(SMALL_BYTES))
    base = fingerprint(folder, listed)
    os.utime(large, (1, 1))
    assert fingerprint(folder, listed) != base
