# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of the methods: a tiny table, its settings, seeds, figures and verdicts."""

import dataclasses
import json
import time

import numpy as np
import pytest
import torch

from benchmarks import demo_model, edit_quality
from benchmarks.demo_edits import Subject, editors_mask, subject
from benchmarks.demo_settings import KIND_CHANGES
from benchmarks.edit_quality import Plan, measure, run_edit
from benchmarks.edit_quality_documents import write_documents
from benchmarks.edit_quality_figures import FIGURES, changed_region, kept_region, measured
from benchmarks.edit_quality_rows import (
    KINDS,
    NOISE_SEEDS,
    REFERENCE,
    ROWS,
    TABLE_SEEDS,
    TRIALS,
    TUNING_SEEDS,
    table_edits,
    tuning_edits,
)
from benchmarks.edit_quality_store import RowFile
from benchmarks.edit_quality_summary import CLAIMS, Claim, average, difference
from benchmarks.edit_quality_tuning import own_numbers, tuning_page
from benchmarks.shared_references import SharedReferences
from demo.training.clips import FIRST_SEED
from demo.training.sheets import SHEET_SEED
from demo.world import render, render_backgrounds
from engine.job import with_settings
from engine.method_settings import DreamMotionSettings
from engine.registry import BackboneCard, find_backbone, read_card
from tests.engine.folders import write_folder
from tests.engine.stand_in import StandIn

BY_NAME = {row.name: row for row in (*ROWS, *TRIALS)}
FEW_ROWS = ("identity", "sdedit_40", "ddim_inversion", "sds", REFERENCE, "dreammotion", "assd")
"""Every mechanism; the other rows differ from these in settings only."""
FEW = {"steps": 2, "use_stopping_rule": False, "guidance_scale": 1.3}


class Reader(StandIn):
    """The stand-in model with an ear for the world's captions."""

    def embed(self, prompts):
        values = [sum(map(ord, prompt)) % 97 / 97 for prompt in prompts]
        return torch.tensor(values, dtype=torch.float64)[:, None, None]


def rendered(place):
    """An edit without a backbone's part of it."""
    found = place.case()
    source, none = render(found.source), torch.zeros(0)
    empty = np.stack(list(render_backgrounds(found.source)))
    return Subject(found, source, render(found.target), empty, none, none, none, none)


def test_no_clip_is_trained_on_tuned_on_and_measured_on():
    table = {place.seed for place in table_edits()}
    tuning = {place.seed for place in tuning_edits()}
    assert len(table) == 24
    assert len(tuning) == 6
    assert len(NOISE_SEEDS) == 2
    assert table <= set(TABLE_SEEDS)
    assert tuning <= set(TUNING_SEEDS)
    others = [s for seeds in demo_model.GATE_SEEDS.values() for s in seeds]
    others += [s for seeds in demo_model.TUNING_SEEDS.values() for s in seeds]
    ranges = [set(TABLE_SEEDS), set(TUNING_SEEDS), set(others)]
    assert sum(map(len, ranges)) == len(set.union(*ranges))
    assert max(set.union(*ranges)) < SHEET_SEED < FIRST_SEED


def numbers(given, edited, start):
    """The figures that this kind of edit has."""
    found = measured(given, edited, start)
    missing = {name for name, value in found.items() if value is None}
    assert missing == {"iou_kept" if given.case.kind == "shape" else "iou_new"}
    return {name: value for name, value in found.items() if value is not None}


def test_every_edit_of_the_table_can_be_measured_and_its_mask_allows_it():
    for place in (*table_edits(), *tuning_edits()):
        given = rendered(place)
        changes = (given.source.frames != given.target.frames).any(-1)
        assert not (changes & (editors_mask(given.case, given.source) == 0)).any()
        assert changed_region(given).any(axis=(1, 2)).all()
        assert kept_region(given).any(axis=(1, 2)).all()
        assert not (changed_region(given) & kept_region(given)).any()
        best = numbers(given, given.target.frames, given.source.frames)
        assert (best["reached"], best["progress"]) == (1, 1)
        assert (best["flicker"], best["saturation"]) == (0, 0)
        assert best["kept_psnr"] > 96
        none = numbers(given, given.source.frames, given.source.frames)
        assert (none["reached"], none["progress"], none["flicker"]) == (0, 0, 0)


def test_half_an_edit_in_changing_light_does_not_flicker_and_a_lamp_does():
    place = next(p for p in table_edits() if (p.kind, p.scene) == ("color", "flickering"))
    given = rendered(place)
    source, target = given.source.frames.astype(float), given.target.frames
    half = np.rint((source + target) / 2).astype(np.uint8)
    found = numbers(given, half, given.source.frames)
    assert found["progress"] == pytest.approx(0.5, abs=0.01)
    assert found["flicker"] < 1.5  # rounding to levels, in the light's dark frames
    lamp = np.array([0, 30] * 4).reshape(8, 1, 1, 1)
    unsteady = np.clip(half.astype(int) - lamp, 0, 255).astype(np.uint8)
    assert numbers(given, unsteady, given.source.frames)["flicker"] > 15


def test_saturation_is_told_where_the_prompt_says_nothing():
    given = rendered(table_edits()[0])
    grey = given.target.frames.mean(axis=-1, keepdims=True)
    vivid = np.clip(grey + 1.5 * (given.target.frames - grey), 0, 255).astype(np.uint8)
    assert numbers(given, vivid, given.source.frames)["saturation"] > 5


@pytest.fixture(scope="module")
def demo_card():
    return find_backbone("demo")


def test_rows_are_what_their_names_say(demo_card):
    settings = {row.name: row.settings(demo_card, "color") for row in ROWS}
    assert len(settings) == len(ROWS)
    base = settings[REFERENCE]
    assert base.use_stopping_rule
    for row in ROWS:
        own = settings[row.name]
        assert (own.steps, own.step_size) == (base.steps, base.step_size)
        if row.method not in ("sdedit", "ddim_inversion"):
            same = {"dreammotion": base.dreammotion, "assd": base.assd}
            own_scale = {"guidance_scale": base.guidance_scale} if row.method == "sds" else {}
            assert with_settings(own, **same, **own_scale) == base
        without_mask = ("identity", "sdedit", "ddim_inversion", "sds")
        assert row.masked == (row.method not in without_mask and row.name != "dds")
    assert [row.strength for row in ROWS if row.method == "sdedit"] == [0.4, 0.6, 0.8]
    shares = {
        name: (settings[name].dreammotion.spatial_share, settings[name].dreammotion.temporal_share)
        for name in ("dreammotion_s", "dreammotion")
    }
    assert shares["dreammotion_s"][0] == shares["dreammotion"][0] > 0
    assert shares["dreammotion_s"][1] == 0 < shares["dreammotion"][1]
    parts = {
        name: (own.smoothing_centre < 1, own.fused_layers > 0, own.image_weight > 0)
        for name, own in ((row.name, settings[row.name].assd) for row in ROWS)
        if name.startswith("assd")
    }
    assert parts == {
        "assd_sliding": (True, False, False),
        "assd_residual": (True, False, False),
        "assd_fusion": (False, True, False),
        "assd_image": (False, False, True),
        "assd": (True, True, True),
    }


def test_a_kinds_settings_go_the_same_way_in_the_fewer_steps_of_the_preset(demo_card):
    whole = with_settings(demo_card.recommended("dds"), **KIND_CHANGES["shape"])
    row = next(row for row in ROWS if row.name == REFERENCE)
    found = row.settings(demo_card, "shape")
    assert found.steps < whole.steps
    assert found.steps * found.step_size == pytest.approx(whole.steps * whole.step_size)
    assert not found.use_stopping_rule


def test_dreammotion_s_rows_are_the_paper_s_and_one_the_card_s(demo_card):
    settings = {row.name: row.settings(demo_card, "color").dreammotion for row in ROWS}
    assert settings["dreammotion"] == DreamMotionSettings()
    assert settings["dreammotion_here"] == demo_card.recommended("dreammotion").dreammotion
    assert settings["dreammotion_here"] != settings["dreammotion"]


def test_no_trial_is_what_another_row_is(demo_card):
    known = {row.name: row for row in (*ROWS, *TRIALS)}
    assert len(known) == len(ROWS) + len(TRIALS)

    def found(row, kinds):
        settings = tuple(row.settings(demo_card, kind) for kind in kinds)
        return row.method, row.masked, row.strength, settings

    # Edits of the shape take all steps in every row: the trial of that changes nothing of them.
    for kinds in (("color",), ("background",), KINDS):
        assert len({found(row, kinds) for row in known.values()}) == len(known)
    assert all(trial.trial_of in known for trial in TRIALS)


def test_assd_without_its_parts_is_the_reference_row(demo_card):
    place, backbone = table_edits()[0], Reader()
    backbone.card = dataclasses.replace(demo_card, window_frames=8)
    given = subject(backbone, place.case())
    bare = {"smoothing_centre": 1.0, "fused_layers": 0, "image_weight": 0.0}
    reference = dataclasses.replace(BY_NAME[REFERENCE], changes=FEW)
    assd = dataclasses.replace(reference, method="assd", changes=FEW | {"assd": bare})
    one, strip = run_edit(backbone, None, reference, place, given, 0)
    other, _ = run_edit(backbone, None, assd, place, given, 0)
    assert one["plain"] == other["plain"]
    assert one["product"] == other["product"]
    source, plain = strip[:, :64], strip[:, 128:192]
    assert not np.array_equal(source, plain)


def test_the_row_without_an_edit_changes_nothing(demo_card):
    place, backbone = table_edits()[0], Reader()
    backbone.card = demo_card
    given = subject(backbone, place.case())
    record, strip = run_edit(backbone, None, BY_NAME["identity"], place, given, 0)
    for part in ("plain", "product"):
        assert record[part]["kept_psnr"] > 96
        assert record[part]["reached"] == record[part]["progress"] == 0
    pictures = np.split(strip, 8, axis=1)
    assert np.array_equal(pictures[0], pictures[4])
    assert np.array_equal(pictures[1], pictures[5])


def test_rows_that_share_the_source_branch_get_the_same_pixels_and_their_whole_time(demo_card):
    place, backbone = table_edits()[0], Reader()
    backbone.card = dataclasses.replace(demo_card, window_frames=8)
    given = subject(backbone, place.case())
    shared = SharedReferences()
    rows = [
        dataclasses.replace(BY_NAME[name], changes=BY_NAME[name].changes | FEW)
        for name in ("assd_sliding", "assd_fusion", "assd_sliding")
    ]
    assert len({row.source_branch(demo_card, place.kind) for row in rows}) == 1
    saved = []
    for row in rows:
        alone, _ = run_edit(backbone, None, row, place, given, 0)
        found, _ = run_edit(backbone, None, row, place, given, 0, shared)
        assert {**found, "seconds": 0} == {**alone, "seconds": 0}
        saved.append(shared.saved_seconds)
    assert saved[:2] == [0, 0]  # fusion needs keys, which sliding has not looked for
    assert saved[2] > 0
    assert BY_NAME["dds"].source_branch(demo_card, "color") == BY_NAME["dds_mask"].source_branch(
        demo_card, "color"
    )
    assert BY_NAME["dds"].source_branch(demo_card, "color") != BY_NAME["dds"].source_branch(
        demo_card, "shape"
    )
    for name in ("sds", "sdedit_40", "identity"):
        assert BY_NAME[name].source_branch(demo_card, "color") == ""


def test_a_shared_source_branch_is_made_once_and_its_time_is_told_each_time():
    class Slow:
        def __init__(self, *names):
            self.names, self.made = names, []

        def reference(self, _step, _weights, known):
            if all(name in known for name in self.names):
                return {name: known[name] for name in self.names}
            end = time.process_time() + 0.02  # the processor's time counts, no one else's
            while time.process_time() < end:
                pass
            self.made.append(set(self.names) - set(known))
            return {name: torch.zeros(1) for name in self.names}

    shared, small, large = SharedReferences(), Slow("a"), Slow("a", "b")
    shared.get(small, None, (), step=0, frame=0)
    assert shared.saved_seconds == 0
    shared.get(small, None, (), step=0, frame=0)
    once = shared.saved_seconds
    assert once >= 0.02
    shared.get(large, None, (), step=0, frame=0)  # one look more makes both
    assert shared.saved_seconds == once
    shared.get(large, None, (), step=0, frame=0)
    assert 0.02 <= shared.saved_seconds - once < 0.04 + once
    shared.get(small, None, (), step=1, frame=0)
    assert small.made == [{"a"}, {"a"}]
    assert large.made == [{"b"}]


def without_seconds(records):
    return {
        name: [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        for name, lines in records.items()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random model that does in moments what takes the demo backbone a minute."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    settings = {"steps": 2, "guidance_scale": 1.3, "use_stopping_rule": False}
    recommended = [{"method": name, "settings": settings} for name in ("dds", "dreammotion")]
    return write_folder(
        folder, "text_to_video", frames=8, image_mode=True, recommended_settings=recommended
    )


def test_a_tiny_table_is_resumed_row_by_row_and_edit_by_edit(tiny, tmp_path, monkeypatch):
    plan = Plan(str(tiny), ROWS[:2], table_edits()[:2], (0,), tmp_path / "lines", processes=1)
    first = measure(plan)
    assert list(first) == ["identity", "sdedit_40"]
    kept = {path.name: path.read_bytes() for path in plan.folder.glob("*.jsonl")}
    # As after a crash in the middle of a row, and of a line.
    broken = plan.folder / "sdedit_40.jsonl"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: whole.rfind(b'{"kind"') + 20])
    rows = [BY_NAME[name] for name in FEW_ROWS]
    whole_plan = dataclasses.replace(plan, rows=rows)
    records = measure(whole_plan)
    assert (plan.folder / "identity.jsonl").read_bytes() == kept["identity.jsonl"]
    assert records["identity"] == first["identity"]
    assert without_seconds({"x": records["sdedit_40"]}) == without_seconds(
        {"x": first["sdedit_40"]}
    )
    monkeypatch.setattr(edit_quality, "_run", None)  # nothing is left to do
    assert measure(whole_plan) == records
    card = read_card(tiny)
    settings = {row.name: dataclasses.asdict(row.settings(card, "color")) for row in rows}
    facts = {"torch": "2", "machine": "m", "minutes": 1, "backbone": "b", "clips": "the table's"}
    docs = tmp_path / "docs"
    text = write_documents(docs, plan.folder, rows, records, settings, facts)
    assert (docs / "edit_quality.md").read_text(encoding="utf-8") == text
    found = json.loads((docs / "edit_quality.json").read_text(encoding="utf-8"))
    assert {name: row["edits"] for name, row in found["rows"].items()} == records
    assert {path.name for path in (docs / "images").iterdir()} == {
        "edit_quality.png",
        *(f"edit_quality_{row.name}.png" for row in rows),
    }
    for row in rows:
        assert text.count(f"| {row.title} |") >= 3
        for record in records[row.name]:
            assert set(record["plain"]) == set(record["product"]) == set(FIGURES)
    assert "2 edits of colour, shape and background × 1 noise seeds of the table's clips" in text


def test_figures_of_other_settings_are_not_mixed_in(tmp_path):
    path = tmp_path / "dds.jsonl"
    RowFile(path, {"steps": 28}).append({"seed": 1, "noise_seed": 0})
    assert RowFile(path, {"steps": 28}).has(1, 0)
    assert not RowFile(path, {"steps": 28}).has(1, 1)
    with pytest.raises(ValueError, match="other settings or weights"):
        RowFile(path, {"steps": 29})


def test_a_row_s_identity_knows_settings_and_weights(demo_card):
    row = BY_NAME["dreammotion"]
    other: BackboneCard = dataclasses.replace(demo_card, files=demo_card.files[:1])
    assert row.identity(demo_card) == row.identity(demo_card)
    assert row.identity(demo_card) != row.identity(other)
    assert row.identity(demo_card) != BY_NAME["dreammotion_s"].identity(demo_card)


def lines(values):
    """Two noise seeds an edit, half a unit to either side."""
    return [
        {"seed": seed, "noise_seed": s, "plain": {"kept_psnr": value + s - 0.5}}
        for seed, value in enumerate(values)
        for s in (0, 1)
    ]


def test_differences_are_paired_over_edits():
    records = {"with": lines([11.0, 21.5, 31.0, 41.5]), "without": lines([10.0, 20.0, 30.0, 40.0])}
    assert average(records["with"], "plain", "kept_psnr").value == pytest.approx(26.25)
    found = difference(records, "with", "without", "plain", "kept_psnr")
    assert found.value == pytest.approx(1.25)
    assert found.error == pytest.approx(np.std([1, 1.5, 1, 1.5], ddof=1) / 2)
    assert found.text() == "+1.25 ± 0.14"
    claim = Claim("with", "without", "kept_psnr", +1, "words")
    assert claim.verdict(found) == "shows"
    assert dataclasses.replace(claim, sign=-1).verdict(found) == "**the opposite**"
    noise = difference(
        {"with": lines([11.0, 9.0]), "without": lines([10.0, 10.5])},
        "with",
        "without",
        "plain",
        "kept_psnr",
    )
    assert claim.verdict(noise) == "not told from noise"
    one = difference(
        {"with": lines([11.0]), "without": lines([10.0])}, "with", "without", "plain", "kept_psnr"
    )
    assert claim.verdict(one) == "one edit only"


def test_claims_are_about_rows_and_figures_that_exist():
    for claim in CLAIMS:
        assert claim.row in BY_NAME
        assert claim.base in BY_NAME
        assert claim.figure in FIGURES


def test_the_tuning_page_sets_each_trial_beside_its_row_and_says_the_row_s_numbers(demo_card):
    trial = next(row for row in TRIALS if row.name == "dreammotion_s_spatial_share_1.0")
    rows = [BY_NAME["dreammotion_s"], trial]
    kept = {rows[0].name: [20.0, 30.0], trial.name: [21.0, 31.5]}
    records = {
        name: [
            {"kind": "color", "seed": seed, "noise_seed": 0, "steps": 8, "seconds": 1.0}
            | {"plain": dict.fromkeys(FIGURES, value)}
            for seed, value in enumerate(values)
        ]
        for name, values in kept.items()
    }
    own = own_numbers(rows[0].settings(demo_card, "color"))
    assert own.startswith(f"ω {demo_card.recommended('dds').guidance_scale}, mask_scope ")
    facts = {"torch": "2", "machine": "m", "minutes": 1, "backbone": "b", "own": own}
    page = tuning_page(rows, records, facts)
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {trial.title} | +")]
    assert "+1.25 ± 0.25" in line
    assert own in page
    assert "2 edits × 1 noise seeds" in page
