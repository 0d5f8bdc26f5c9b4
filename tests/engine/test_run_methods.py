# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole jobs with every method, on a tiny random model in the layout of the published folders."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import BackboneError, InvalidJobError
from engine.job import with_settings
from engine.registry import find_backbone
from tests.engine.clips import QUICK, movie_job, run
from tests.engine.folders import write_folder

METHODS = ["sds", "dds", "dreammotion", "assd"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return write_folder(root / "tiny", "text_to_video", frames=4, image_mode=True)


def job_on(folder, tmp_path, method, **options):
    job, clip = movie_job(tmp_path / "in", frames=6, **options)
    return replace(job, method=method, backbone=str(folder), size=(64, 64)), clip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_edits_inside_the_mask_and_twice_the_same(folder, tmp_path, method):
    job, clip = job_on(folder, tmp_path, method)
    frames, result = run(job, tmp_path / "one")
    again, _ = run(job, tmp_path / "two")
    outside = clip.alpha < 0.5 / 255
    assert np.array_equal(frames[outside], clip.frames[outside])
    assert not np.array_equal(frames, clip.frames)
    assert np.array_equal(frames, again)
    assert result["job"]["method"] == method
    assert len(result["term_weights"]) == (2 if method == "dreammotion" else 0)
    assert all(norm > 0 for norm in result["update_norms"])


@pytest.mark.parametrize("method", ["dds", "dreammotion", "assd"])
def test_equal_prompts_give_the_source_bit_for_bit_with_every_delta_method(
    folder, tmp_path, method
):
    job, clip = job_on(folder, tmp_path, method, masked=False)
    # Given weights and a given step, so that every term is at work.
    settings = with_settings(
        QUICK,
        step_rule="fixed",
        dreammotion={"similarity_rule": "fixed", "spatial_weight": 1e4, "temporal_weight": 1e4},
    )
    job = replace(job, target_prompt=job.source_prompt, settings=settings)
    frames, result = run(job, tmp_path / "job")
    assert result["gradient_norms"] == [0.0, 0.0]
    assert np.array_equal(frames, clip.frames)


def test_checkpointing_changes_no_pixel(folder, tmp_path):
    job, _ = job_on(folder, tmp_path, "dreammotion")
    plain, _ = run(job, tmp_path / "one")
    saving = with_settings(job.settings, dreammotion={"checkpointing": True})
    saved, _ = run(replace(job, settings=saving), tmp_path / "two")
    assert np.array_equal(plain, saved)


def test_joint_guidance_by_a_model_without_image_mode_is_refused_with_a_way_out(tmp_path):
    folder = write_folder(tmp_path / "plain", "text_to_video", frames=4)
    job, _ = job_on(folder, tmp_path, "assd")
    with pytest.raises(BackboneError, match="has no image mode") as caught:
        run(job, tmp_path / "job")
    assert caught.value.hint
    alone = with_settings(job.settings, assd={"image_weight": 0.0})
    frames, _ = run(replace(job, settings=alone), tmp_path / "other")
    assert len(frames) == 6


def test_the_demo_backbone_recommends_settings_for_every_method_that_run(tmp_path):
    job, clip = movie_job(tmp_path / "in", frames=3)
    for method in METHODS:
        recommended = find_backbone("demo").recommended(method)
        settings = replace(recommended, steps=1, use_stopping_rule=False)
        frames, _ = run(replace(job, method=method, settings=settings), tmp_path / method)
        assert not np.array_equal(frames, clip.frames), method


def test_unknown_names_in_a_method_s_own_settings_are_refused():
    with pytest.raises(InvalidJobError, match="assd has no setting 'tau'"):
        with_settings(QUICK, assd={"tau": 1})
