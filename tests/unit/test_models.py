# SPDX-License-Identifier: GPL-3.0-or-later
"""Model folders: what is known by name, what is recognised, what is refused. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from engine import __main__ as program
from engine import registry
from engine.errors import BackboneError
from engine.model_folder import (
    UNET_CLASSES,
    UNET_WEIGHTS,
    WEIGHTS,
    ModelFile,
    check_files,
    check_folder,
    kind_of,
    sha256_of,
)
from engine.registry import (
    CARD_NAME,
    find_backbone,
    installed_backbones,
    known_models,
)
from tests.unit.model_folders import change_json, make_folder, write_safetensors

KIND = "text_to_video"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "modèle folder")


@pytest.fixture
def listed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the only model of the list."""
    files = [
        f'{{ path = "{name}", sha256 = "{digest(folder / name)}" }}'
        for name in (UNET_WEIGHTS, WEIGHTS[1])
    ]
    path = tmp_path / "models.toml"
    path.write_text(
        f'[[models]]\nid = "some"\ntitle = "Some model"\nkind = "{KIND}"\nlicence = "CC0-1.0"\n'
        'repository = "someone/some"\nrevision = "abc"\ndisk_gigabytes = 1\n'
        "memory_gigabytes = 2\nwindow_frames = 24\nworking_pixels = 184320\nsize_multiple = 64\n"
        f'note = "A note."\nfiles = [{", ".join(files)}]\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(registry, "KNOWN_MODELS", path)
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# The list


def test_the_list_names_the_models_of_the_papers_and_where_they_are_from() -> None:
    models = {model.id: model for model in known_models()}
    assert list(models) == ["demo", "modelscope", "zeroscope", "stable-diffusion"]
    assert not models["demo"].repository
    for model in models.values():
        if model.id == "demo":
            continue
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert re.fullmatch(r"[0-9a-f]{40}", model.revision)
        assert model.licence
        checksums = {file.path: file.sha256 for file in model.files}
        # The U-Net's is what a folder is recognised by.
        assert checksums[UNET_WEIGHTS]
        assert set(WEIGHTS) <= set(checksums)
        for checksum in filter(None, checksums.values()):
            assert re.fullmatch(r"[0-9a-f]{64}", checksum)
        assert sum(file.size for file in model.files) < model.disk_gigabytes * 1.02e9


def test_no_two_models_have_one_id_or_one_u_net() -> None:
    models = known_models()
    assert len({model.id for model in models}) == len(models)
    unets = [f.sha256 for m in models for f in m.files if f.path == UNET_WEIGHTS]
    assert len(set(unets)) == len(unets) == len(models) - 1


def test_the_list_says_of_the_demo_what_its_card_says() -> None:
    card, listed = installed_backbones()[0], known_models()[0]
    names = ("id", "title", "kind", "licence", "window_frames", "working_pixels", "size_multiple")
    assert [getattr(card, n) for n in names] == [getattr(listed, n) for n in names]
    size = sum(p.stat().st_size for p in card.folder.rglob("*") if p.is_file())
    assert listed.disk_gigabytes == pytest.approx(size / 1e9, abs=0.005)


# Recognising a folder


def test_a_folder_without_a_card_is_recognised_by_its_u_net(listed: Path) -> None:
    card = find_backbone(str(listed))
    assert (card.id, card.title, card.licence, card.note) == (
        "some",
        "Some model",
        "CC0-1.0",
        "A note.",
    )
    assert (card.window_frames, card.working_pixels, card.size_multiple) == (24, 184320, 64)
    assert card.folder == listed.resolve()
    card.verify()


def test_a_card_in_the_folder_goes_before_the_list(listed: Path) -> None:
    own = {"id": "mine", "title": "Mine", "kind": KIND, "licence": "none", "window_frames": 4}
    text = json.dumps(own | {"working_pixels": 4096, "size_multiple": 64})
    (listed / CARD_NAME).write_text(text, encoding="utf-8")
    assert find_backbone(str(listed)).id == "mine"


def test_weights_of_no_known_model_are_refused_and_the_way_out_is_named(listed: Path) -> None:
    write_safetensors(listed / UNET_WEIGHTS, b"finetuned")
    with pytest.raises(BackboneError, match="of no known model: some") as caught:
        find_backbone(str(listed))
    assert CARD_NAME in caught.value.hint


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"neither delta_strip\.json nor model_index\.json"):
        find_backbone(str(tmp_path))


def test_a_model_that_is_known_but_not_here_is_refused_with_licence_and_source() -> None:
    with pytest.raises(BackboneError, match=r"does not come with .*CC-BY-NC-4\.0, 3\.7 GB") as e:
        find_backbone("zeroscope")
    assert "cerspense/zeroscope_v2_576w at revision 1f35e3dc3350" in e.value.hint


# Refusing a folder


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
def test_a_folder_with_a_pickle_anywhere_is_refused(listed: Path, name: str) -> None:
    (listed / name).parent.mkdir(exist_ok=True)
    (listed / name).write_bytes(b"x")
    with pytest.raises(BackboneError, match=rf"pickled weights \({name.rsplit('/', 1)[-1]}\)"):
        check_folder(listed, KIND)
    with pytest.raises(BackboneError, match="pickled weights"):
        find_backbone(str(listed))


def test_a_folder_with_nothing_but_pickles_is_told_about_the_pickles(listed: Path) -> None:
    (listed / UNET_WEIGHTS).rename(listed / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(BackboneError, match="pickled weights") as caught:
        find_backbone(str(listed))
    assert "Convert" in caught.value.hint


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
        find_backbone(str(folder))
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


def test_a_wrong_checksum_is_refused(listed: Path) -> None:
    card = find_backbone(str(listed))
    path = listed / WEIGHTS[1]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BackboneError, match="is damaged: its checksum"):
        card.verify()


def test_a_wrong_size_is_refused_before_anything_is_read(folder: Path) -> None:
    file = ModelFile(path=UNET_WEIGHTS, size=5, sha256="0" * 64)
    with pytest.raises(BackboneError, match=r"bytes, not 5\."):
        check_files(folder, [file])


def test_a_listed_file_that_is_missing_is_refused_with_or_without_a_checksum(folder: Path) -> None:
    with pytest.raises(BackboneError, match=r"incomplete: tokenizer/merges\.txt is missing"):
        check_files(folder, [ModelFile(path="tokenizer/merges.txt")])


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
    assert sha256_of(path) == digest(path)
    path.write_bytes(b"three")
    assert sha256_of(path) == digest(path)


# The command


def test_models_list_says_licence_size_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["models", "list"]) == 0
    text = capsys.readouterr().out
    for model in known_models():
        assert f"{model.id}: {model.title}" in text
        assert model.licence in text
        assert model.revision in text
    assert str(installed_backbones()[0].folder) in text


def test_models_verify_verifies_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["models", "verify"]) == 0
    assert "licence GPL-3.0-or-later; checksums right: 3" in capsys.readouterr().out


def test_models_verify_tells_of_every_folder_also_after_a_bad_one(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["models", "verify", str(tmp_path), str(listed)]) == 2
    told = capsys.readouterr()
    assert "is not a backbone" in told.err
    assert f"some: Some model in {listed.resolve()}: licence CC0-1.0" in told.out
    assert "checksums right: 2" in told.out
