# SPDX-License-Identifier: GPL-3.0-or-later
"""Model folders: what is known by name, what is recognised, what the command says. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from engine import __main__ as program
from engine import registry
from engine.errors import BackboneError
from engine.job import Method
from engine.model_folder import UNET_WEIGHTS, WEIGHTS
from engine.registry import (
    CARD_NAME,
    as_card,
    find_backbone,
    installed_backbones,
    known_models,
)
from tests.unit.model_folders import make_folder, write_safetensors

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


@pytest.mark.parametrize("name", ["modelscope", "zeroscope"])
@pytest.mark.parametrize(
    ("method", "learning_rate", "latents"),
    [
        ("dds", 0.1, (64, 64)),
        ("sds", 0.1, (64, 64)),
        ("dreammotion", 0.4, (72, 40)),
        ("assd", 0.1, (72, 40)),
    ],
)
def test_the_published_video_models_recommend_what_the_papers_say(
    name: str, method: Method, learning_rate: float, latents: tuple[int, int]
) -> None:
    models = {model.id: model for model in known_models()}
    settings = as_card(models[name], Path()).recommended(method)
    expected = learning_rate * 2000 / (latents[0] * latents[1])
    assert settings.effective_step == pytest.approx(expected, rel=2e-3)
    assert (settings.steps, settings.guidance_scale) == (200, 7.5)
    assert (settings.step_rule, settings.optimiser) == ("fixed", "sgd")
    assert (settings.timestep_min, settings.timestep_max) == (0.05, 0.95)
    assert settings.timestep_schedule == "uniform"
    assert (settings.averaging, settings.use_stopping_rule) == (0, False)
    if method == "assd":
        assert settings.assd.image_weight == 1
        assert models[settings.assd.image_backbone].kind == "stable_diffusion"


def test_zeroscope_s_latents_are_those_of_dreammotion_s_step() -> None:
    zeroscope = next(model for model in known_models() if model.id == "zeroscope")
    assert zeroscope.working_pixels == 8**2 * 72 * 40


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


def test_a_folder_with_nothing_but_pickles_is_told_about_the_pickles(listed: Path) -> None:
    (listed / UNET_WEIGHTS).rename(listed / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(BackboneError, match="pickled weights") as caught:
        find_backbone(str(listed))
    assert "Convert" in caught.value.hint


def test_a_wrong_checksum_is_refused(listed: Path) -> None:
    card = find_backbone(str(listed))
    path = listed / WEIGHTS[1]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BackboneError, match="is damaged: its checksum"):
        card.verify()


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
