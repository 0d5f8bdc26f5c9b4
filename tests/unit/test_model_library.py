# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of model folders: what a look finds, what is kept, what can be used. No torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine import model_folder
from engine.errors import BackboneError, EngineError, StorageError
from engine.model_folder import IMAGE_KIND, UNET_WEIGHTS, VIDEO_KIND, WEIGHTS, sha256_of
from engine.model_library import (
    ModelEntry,
    ModelLibrary,
    card_of,
    check_is_model,
    check_there,
    examine,
    read_library,
    write_library,
)
from engine.registry import CARD_NAME, as_file, find_backbone, read_card
from tests.unit.model_folders import make_folder, write_card, write_safetensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with a card that knows a checksum."""
    made = make_folder(tmp_path / "modèle folder")
    write_card(made, title="Mine", checksums=(UNET_WEIGHTS,))
    return made


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    made = make_folder(tmp_path / "picture", unet="UNet2DConditionModel")
    write_card(made, title="Picture", kind=IMAGE_KIND)
    return made


def test_a_look_finds_card_and_size(folder: Path) -> None:
    entry = examine(folder)
    assert entry.problem == ""
    assert entry.card == as_file(read_card(folder))
    assert entry.title == "Mine"
    assert entry.folder == str(folder)
    assert entry.bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert card_of(entry, VIDEO_KIND) == find_backbone(str(folder))


def test_a_damaged_file_is_found_although_it_was_right_a_moment_ago(folder: Path) -> None:
    path = folder / UNET_WEIGHTS
    assert examine(folder).problem == ""
    facts, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + b"?")
    # A disk that fails changes neither size nor time.
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert "is damaged: its checksum" in examine(folder).problem


def test_a_cut_off_file_is_found(folder: Path) -> None:
    path = folder / WEIGHTS[1]
    path.write_bytes(path.read_bytes()[:-1])
    entry = examine(folder)
    assert "is damaged: it has" in entry.problem
    assert entry.card is None
    assert entry.bytes > 0


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda f: (f / UNET_WEIGHTS).unlink(), "is incomplete"),
        (lambda f: (f / "unet" / "old.ckpt").write_bytes(b"x"), "pickled weights"),
        (lambda f: (f / CARD_NAME).write_bytes(b"\xff{"), "not valid JSON"),
        (lambda f: (f / CARD_NAME).write_text("[]"), "object is needed"),
        (lambda f: (f / CARD_NAME).unlink(), "of no known model"),
    ],
)
def test_what_is_wrong_with_a_folder_is_its_problem(folder: Path, spoil, problem: str) -> None:
    spoil(folder)
    assert problem in examine(folder).problem


def test_a_folder_that_is_gone_or_no_model_is_refused_at_once(folder: Path, tmp_path: Path) -> None:
    check_is_model(folder)
    with pytest.raises(BackboneError, match="is not there") as caught:
        check_is_model(tmp_path / "gone")
    assert "Reconnect" in caught.value.hint
    with pytest.raises(BackboneError, match=r"neither model_index\.json nor delta_strip\.json"):
        check_is_model(tmp_path)
    assert "is not there" in examine(tmp_path / "gone").problem


def test_the_list_comes_back_from_its_file_as_it_was(folder: Path, tmp_path: Path) -> None:
    library = ModelLibrary().with_entry(examine(folder))
    library = library.with_entry(ModelEntry(folder="/gone/ä", bytes=7, problem="It is gone."))
    write_library(tmp_path / "models.json", library)
    assert read_library(tmp_path / "models.json") == library


def test_no_file_is_an_empty_list_and_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    assert read_library(path) == ModelLibrary()
    for data in (b"", b"{", b"\xff", b'{"entries": [{}]}', b'{"entries": [], "more": 1}'):
        path.write_bytes(data)
        with pytest.raises(EngineError):
            read_library(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        read_library(path)


def test_a_folder_is_listed_once_and_keeps_its_place(folder: Path) -> None:
    first, second = examine(folder), ModelEntry(folder="/b")
    library = ModelLibrary().with_entry(first).with_entry(second)
    bad = ModelEntry(folder=first.folder, problem="It is damaged.")
    after = library.with_entry(bad)
    assert [entry.folder for entry in after.entries] == [first.folder, "/b"]
    assert after.entries[0] == replace(bad, card=first.card), "it keeps its name"
    assert after.without("/b").entries == after.entries[:1]
    assert after.entry("/b") == second
    assert after.entry("/c") is None
    assert after.listed("/b") == second
    with pytest.raises(BackboneError, match="/c is not on the list of models"):
        after.listed("/c")


def test_a_model_with_a_problem_or_of_another_kind_cannot_be_used(
    folder: Path, image_folder: Path
) -> None:
    video, image = examine(folder), examine(image_folder)
    assert card_of(image, IMAGE_KIND).title == "Picture"
    with pytest.raises(BackboneError, match="Picture is an image model, which only guides"):
        card_of(image, VIDEO_KIND)
    with pytest.raises(BackboneError, match="Mine is no image model"):
        card_of(video, IMAGE_KIND)
    with pytest.raises(BackboneError, match="Mine cannot be used: It is damaged") as caught:
        card_of(replace(video, problem="It is damaged."), VIDEO_KIND)
    assert "Verify" in caught.value.hint
    with pytest.raises(BackboneError, match="b cannot be used"):
        card_of(ModelEntry(folder="/a/b"), VIDEO_KIND)


def test_files_that_have_gone_since_the_look_are_noticed_without_reading(folder: Path) -> None:
    card = card_of(examine(folder), VIDEO_KIND)
    check_there(card)
    (folder / UNET_WEIGHTS).unlink()
    with pytest.raises(BackboneError, match=f"{UNET_WEIGHTS} is missing"):
        check_there(card)
    folder.rename(folder.with_name("moved"))
    with pytest.raises(BackboneError, match="is not there"):
        check_there(card)


def test_the_engine_says_of_a_folder_that_is_gone_that_it_is_gone(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    with pytest.raises(BackboneError, match=r"model's folder .* is not there"):
        find_backbone(str(folder))


def test_forgotten_checksums_are_computed_anew(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_safetensors(path, b"one")
    facts, first = path.stat(), sha256_of(path)
    write_safetensors(path, b"two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert sha256_of(path) == first
    model_folder.forget_checksums()
    assert sha256_of(path) != first
