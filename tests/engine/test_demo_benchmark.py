# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo backbone's benchmark: its seeds, its edits, its verdicts."""

import copy

import numpy as np
import pytest
import torch

from benchmarks import demo_words, first_step
from benchmarks.demo_edits import case, editors_mask, figures
from benchmarks.demo_model import GATE_SEEDS, TUNING_SEEDS
from benchmarks.demo_model_page import gates, page
from benchmarks.demo_model_store import claim, kept
from demo.sampling import sample_spec
from demo.training.clips import FIRST_SEED
from demo.training.plan import FULL
from demo.training.sheets import SHEET_SEED
from demo.world import render, render_backgrounds
from engine.backbones.text_to_video import TextToVideo
from engine.registry import find_backbone


def test_gate_tuning_and_training_seeds_have_nothing_in_common():
    gate = {seed for seeds in GATE_SEEDS.values() for seed in seeds}
    tuning = {seed for seeds in TUNING_SEEDS.values() for seed in seeds}
    assert not gate & tuning
    assert max(gate | tuning) < SHEET_SEED < FIRST_SEED
    assert FULL.clips < FIRST_SEED  # or the seeds of two sizes would meet
    sizes = {name: len(seeds) for name, seeds in GATE_SEEDS.items()}
    assert (sizes["captions"], sizes["color"], sizes["background"], sizes["shape"]) == (
        96,
        24,
        12,
        12,
    )


@pytest.mark.parametrize("kind", ["color", "background", "shape"])
def test_an_edit_changes_one_thing_and_its_mask_allows_it(kind):
    for seed in range(40_000, 40_020):
        found = case(kind, seed)
        assert getattr(found.source, kind) != getattr(found.target, kind)
        for other in {"color", "background", "shape"} - {kind}:
            assert getattr(found.source, other) == getattr(found.target, other)
        source, target = render(found.source), render(found.target)
        mask = editors_mask(found, source)
        assert not (source.frames != target.frames)[mask == 0].any()


def test_the_exact_answer_has_the_best_figures_and_the_source_has_none():
    found = case("color", 40_001)
    source, target = render(found.source), render(found.target)
    empty = np.stack(list(render_backgrounds(found.source)))
    best = figures("color", target.frames, source.frames, source, target, empty)
    assert best["colour_progress"] == 1
    assert best["truth_psnr"] > 90
    worst = figures("color", source.frames, source.frames, source, target, empty)
    assert worst["colour_progress"] == 0
    lost = figures("color", empty, source.frames, source, target, empty)
    assert lost["trajectory_error_px"] == 32
    half = np.concatenate([target.frames[:4], empty[4:]])
    assert (
        16
        < figures("color", half, source.frames, source, target, empty)["trajectory_error_px"]
        < 16.5
    )


def _rows(value):
    """Rows in which every figure is `value`, for the page."""
    edit = {
        "kind": "color",
        "seed": 1,
        "source": "a",
        "target": "b",
        "steps": 3,
        "progress": 1.0,
        "seconds": 1.0,
    }
    names = [
        "colour_progress",
        "colour_error",
        "background_psnr",
        "background_psnr_rec",
        "truth_psnr",
        "object_psnr",
        "trajectory_error_px",
        "iou_target",
        "flicker",
    ]
    figures_ = dict.fromkeys(names, value)
    parts = ("untouched", "exact", "plain", "product")
    edits = [edit | {part: dict(figures_) for part in parts}]
    seen = dict.fromkeys(("background", "color", "shape", "motion"), "x")
    caption = {"seed": 1, "caption": "a ball", "seen": seen, "right": dict.fromkeys(seen, True)}
    return {
        "autoencoder": [{"seed": 1, "whole": value, "object": value}],
        "captions": [caption],
        **{kind: copy.deepcopy(edits) for kind in ("color", "background", "shape", "everything")},
    }


def test_a_gate_says_yes_or_no_by_its_own_limit():
    rows = _rows(1.0)
    verdicts = {gate.what: gate.reached(gate.limit) for gate in gates(rows)}
    assert verdicts["colour edits: trajectory error"]
    assert verdicts["colour edits: progress, mean"]
    assert not verdicts["autoencoder, whole frame"]
    rows["color"][0]["plain"]["trajectory_error_px"] = 1.01
    rows["captions"][0]["right"]["shape"] = False
    verdicts = {gate.what: gate.reached(gate.limit) for gate in gates(rows)}
    assert not verdicts["colour edits: trajectory error"]
    assert not verdicts["shape right"]
    text = page(rows, {"torch": "2", "machine": "m"})
    assert "| autoencoder, whole frame | 1.00 dB | ≥ 30 dB | **no** | 26.9 | **no** |  |  |" in text
    assert "| 1 | a ball | x, x, x, x |" in text


def test_sampled_specs_of_the_gate_are_of_the_study_s_kind():
    for seed in GATE_SEEDS["captions"][:12]:
        spec = sample_spec(seed)
        assert spec.companion is None
        assert spec.pan == (0, 0)
        assert spec.light == "steady"


def test_a_finished_clip_is_not_measured_again(tmp_path):
    claim(tmp_path, {"weights": "a"})
    calls = []

    def work(seed):
        calls.append(seed)
        if len(calls) == 1:
            raise ArithmeticError("diverged")
        return {"seed": seed, "iou": 0.1}, [np.full((2, 3, 4, 3), 7, np.uint8)]

    with pytest.raises(ArithmeticError):
        kept(tmp_path, "shape-3", work, (3,))
    first = kept(tmp_path, "shape-3", work, (3,))
    again = kept(tmp_path, "shape-3", work, (3,))
    assert calls == [3, 3]
    assert again[0] == first[0] == {"seed": 3, "iou": 0.1}
    assert np.array_equal(again[1][0], first[1][0])
    claim(tmp_path, {"weights": "a"})
    with pytest.raises(ValueError, match="other settings or weights"):
        claim(tmp_path, {"weights": "b"})


@pytest.fixture
def backbone():
    return TextToVideo(find_backbone("demo"), device=torch.device("cpu"), dtype=torch.float32)


def test_the_right_word_for_a_shape_leaves_less_error_than_wrong_ones(backbone):
    found: dict[tuple[str, int], list[demo_words.Found]] = {}
    for seed in range(demo_words.FIRST_SEED, demo_words.FIRST_SEED + 3):
        for name, timestep, one in demo_words.measure(backbone, seed, (300,)):
            found.setdefault((name, timestep), []).append(one)
    shapes = found["shape, clips", 300]
    assert sum(one.right for one in shapes) < sum(sum(one.wrong) / 3 for one in shapes)
    assert len(found) == 3
    head, _, *rows = demo_words.lines(found)
    assert len(rows) == 3
    assert all(row.count("|") == head.count("|") for row in rows)


def test_a_first_step_is_told_apart_into_the_new_colour_and_the_background():
    generator = torch.Generator().manual_seed(1)
    target, background = torch.randn(2, 3, 4, 5, generator=generator)
    found = first_step.shares(0.3 * target + 0.6 * background, target, background)
    assert found == pytest.approx((0.3, 0.6), abs=1e-5)


def test_first_steps_lead_to_the_new_colour(backbone):
    found: dict[int, list[first_step.Shares]] = {}
    for seed in range(first_step.FIRST_SEED, first_step.FIRST_SEED + 3):
        for timestep, one in first_step.measure(backbone, seed, (300,)):
            found.setdefault(timestep, []).append(one)
    assert all(target > 0.5 > abs(background) for target, background in found[300])
    head, _, row = first_step.lines(found)
    assert row.count("|") == head.count("|")
    assert row.endswith("| 0 of 3 |")


def test_what_differs_between_ways_and_what_over_time_are_told_apart():
    clips = torch.ones(4, 8, 2, 3, 3)
    assert demo_words.differences(clips) == (0, 0)
    ways, time = clips.clone(), clips.clone()
    ways[:2] += 1  # 1.5 ± 0.5
    time[:, :4] += 1
    assert demo_words.differences(ways) == pytest.approx((0.5 / 2.5**0.5, 0))
    assert demo_words.differences(time) == pytest.approx((0, 0.5 / 2.5**0.5))


def test_the_worlds_means_differ_with_the_way_and_over_time(backbone):
    ways, time = demo_words.world_at_pure_noise(backbone, 6)
    assert 0.1 < ways < 0.8
    assert 0.1 < time < 0.8
    assert all(0 <= share < 1 for share in demo_words.answers_at_pure_noise(backbone, 2))
