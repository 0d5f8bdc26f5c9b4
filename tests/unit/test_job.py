# SPDX-License-Identifier: GPL-3.0-or-later
"""The job format: complete, strict, checked when it is made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from engine.errors import EngineError, InvalidJobError, ProtocolError
from engine.job import EditJob, EditSettings, parse_job, with_settings
from engine.job_paths import check_path
from engine.media import Mask, Media
from engine.schema import dumps, field_info
from tests.unit.jobs import make_job

IMAGES = Media(path="source", kind="images", frames=(1, 0), files=("a.png", "b.png"))


def test_a_job_comes_back_equal_from_job_json() -> None:
    job = make_job(
        source=IMAGES,
        mask=Mask(box=(-3, 0, 10, 10), invert=True, feather_px=2.5),
        size=(320, 192),
        seed=2**63 - 1,
        settings=EditSettings(strength=0.5, steps=7),
    )
    assert parse_job(dumps(job, indent=1)) == job


def test_every_setting_has_a_documentation_line() -> None:
    for cls in (EditJob, EditSettings, Mask, Media):
        for field in dataclasses.fields(cls):
            assert field_info(cls, field.name).doc, f"{cls.__name__}.{field.name}"


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_a_job_of_another_version_is_refused_before_anything_else(version: Any) -> None:
    data = {**make_job().to_plain(), "version": version, "unheard_of": 1}
    with pytest.raises(ProtocolError, match="version"):
        parse_job(json.dumps(data))


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="'colour'"):
        parse_job(json.dumps({**make_job().to_plain(), "colour": "blue"}))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"source_prompt": "  "}, "source prompt is empty"),
        ({"target_prompt": ""}, "target prompt is empty"),
        ({"fps": (0, 1)}, "frame rate"),
        ({"fps": (24.0, 1)}, "fps[0]"),
        ({"size": (8, 64)}, "at least 16"),
        ({"size": (64, 8193)}, "at most 8192"),
        ({"fps": (10**12, 1)}, "1000000000000/1; at most 1000"),
        ({"fps": (1, 2**31)}, "up to 2147483647"),
        ({"fps": (1001, 1)}, "at most 1000 frames"),
        ({"source_prompt": "a \ud800 car"}, "character 3"),
        ({"target_prompt": "\udcff"}, "target prompt has '\\udcff'"),
        ({"seed": -1}, "seed is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"method": "magic"}, "the choices are"),
        ({"device": "tpu"}, "the choices are"),
        ({"settings": None}, "settings"),
    ],
)
def test_a_job_that_cannot_be_honoured_cannot_be_made(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        make_job(**changes)
    assert part in caught.value.message


@pytest.mark.parametrize("fps", [(30000, 1001), (14_060_000, 468_723), (1000, 1)])
def test_the_odd_average_rates_of_real_clips_are_taken(fps: tuple[int, int]) -> None:
    assert make_job(fps=fps, size=(8192, 16)).fps == fps


@pytest.mark.parametrize(
    "media",
    [
        {"frames": ()},
        {"frames": (-1,)},
        {"frames": (2,)},
        {"files": ()},
        {"files": ("../a.png", "b.png")},
        {"files": ("a\\b.png", "b.png")},
        {"files": ("a\0.png", "b.png")},
        {"files": ("..", "b.png")},
        {"path": ""},
        {"path": "../elsewhere"},
    ],
)
def test_media_that_make_no_sense_are_refused(media: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError):
        dataclasses.replace(IMAGES, **media)


@pytest.mark.parametrize(
    "mask", [{}, {"box": (0, 0, 0, 5)}, {"box": (0, 0, 5, 5), "media": IMAGES}, {"feather_px": -1}]
)
def test_a_mask_is_exactly_one_thing(mask: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError):
        Mask(**mask)


@pytest.mark.parametrize(
    "path", ["..", "a/../../b", "a\\..\\..\\b", "C:b", "\\b", "C:..\\b", "", "a\0b"]
)
def test_a_relative_path_that_leaves_the_job_folder_on_any_platform_is_refused(path: str) -> None:
    with pytest.raises(InvalidJobError):
        check_path(path, "path")


@pytest.mark.parametrize("path", ["source", "source/a b.png", "/clips/x.mp4", "C:\\clips\\x.mp4"])
def test_paths_inside_the_job_folder_and_absolute_ones_pass(path: str) -> None:
    check_path(path, "path")


def test_changed_settings_are_checked_again() -> None:
    assert with_settings(EditSettings(), steps=3).steps == 3
    with pytest.raises(EngineError):
        with_settings(EditSettings(), timestep_min=0.9, timestep_max=0.1)
