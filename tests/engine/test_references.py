# SPDX-License-Identifier: GPL-3.0-or-later
"""A second edit of a clip: the same pixels, and no pass of the source branch in its steps."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.editing.edit import Edit
from engine.editing.references import References, ReferenceStore
from engine.editing.run import run_job
from engine.job import EditSettings
from engine.registry import find_backbone
from engine.reporter import NotingReporter, Reporter
from engine.schema import dumps, loads
from tests.engine.clips import frames_of, movie_job
from tests.engine.folders import retrain
from tests.engine.stand_in import StandIn
from tests.engine.test_edit import clip, run

SETTINGS = EditSettings(steps=3, step_size=0.05, use_stopping_rule=False)
MEGABYTE = 10**6


def edit(store, *, target="a blue ball", method="dds", warn=None, count=7):
    backbone = StandIn()
    warnings = []
    references = References(
        store, "one", count=count, warn=warn or (lambda *words: warnings.append(words))
    )
    one = Edit(
        backbone,
        clip(),
        source_prompt="a red ball",
        target_prompt=target,
        settings=SETTINGS,
        seed=4,
        method=method,
        image_backbone=StandIn() if method == "assd" else None,
        references=references,
    )
    state = run(one)
    return state, len(backbone.calls), references, warnings


def plain(method="dds", target="a blue ball"):
    return run(
        Edit(
            StandIn(),
            clip(),
            source_prompt="a red ball",
            target_prompt=target,
            settings=SETTINGS,
            seed=4,
            method=method,
            image_backbone=StandIn() if method == "assd" else None,
        )
    )


def files(store):
    return sorted(store.root.rglob("*.safetensors"))


@pytest.mark.parametrize("method", ["sds", "dds", "dreammotion", "assd"])
def test_reading_references_changes_no_bit(tmp_path, method):
    store = ReferenceStore(tmp_path, MEGABYTE)
    for target in ("a blue ball", "nothing here", "a red ball"):
        state, *_ = edit(store, target=target, method=method)
        assert torch.equal(state.z_average, plain(method, target).z_average)


def test_a_second_edit_makes_no_pass_of_the_source_branch_in_its_steps(tmp_path):
    store = ReferenceStore(tmp_path, MEGABYTE)
    _, first, references, _ = edit(store)
    count = len(files(store))
    assert references.read_count == 0
    _, second, references, _ = edit(store, target="nothing here")
    assert references.read_count == count == first - second > SETTINGS.steps


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "gone", "swapped"])
def test_a_damaged_reference_is_made_again_and_mended(tmp_path, damage):
    store = ReferenceStore(tmp_path, MEGABYTE)
    edit(store)
    one, other, *_ = files(store)
    whole = one.read_bytes()
    if damage == "cut":
        one.write_bytes(whole[:-3])
    elif damage == "changed":
        one.write_bytes(whole[:-3] + bytes(byte ^ 1 for byte in whole[-3:]))
    elif damage == "empty":
        one.write_bytes(b"")
    elif damage == "gone":
        one.unlink()
    else:
        one.write_bytes(other.read_bytes())
    state, _, references, _ = edit(store)
    assert references.read_count == len(files(store)) - 1
    assert torch.equal(state.z_average, plain().z_average)
    assert one.read_bytes() == whole


def test_the_oldest_edits_make_room_and_the_limit_holds(tmp_path):
    probe = ReferenceStore(tmp_path / "probe", MEGABYTE)
    edit(probe)
    needed = sum(path.stat().st_size for path in files(probe))
    root = tmp_path / "store"
    newer, older = "a" * 64, "b" * 64  # named by a sha256
    (root / "an editor's own").mkdir(parents=True)
    for age, name in enumerate((newer, older)):
        (root / name).mkdir()
        (root / name / "00000-000000.safetensors").write_bytes(bytes(needed))
        os.utime(root / name, (1000 - age, 1000 - age))
    edit(ReferenceStore(root, int(2.5 * needed)))
    assert {path.name for path in root.iterdir()} == {"an editor's own", newer, "one"}
    edit(ReferenceStore(root, int(1.5 * needed)))
    assert {path.name for path in root.iterdir()} == {"an editor's own", "one"}
    edit(ReferenceStore(root, needed // 2))
    assert not files(ReferenceStore(root, 0))


def test_keys_that_do_not_fit_are_left_out_and_predictions_kept(tmp_path):
    roomy, tight = (ReferenceStore(tmp_path / name, MEGABYTE) for name in ("roomy", "tight"))
    _, all_passes, _, _ = edit(roomy, method="dreammotion")
    large = sum(path.stat().st_size for path in files(roomy))
    tight = replace(tight, limit_bytes=large // 2)
    edit(tight, method="dreammotion")
    small = sum(path.stat().st_size for path in files(tight))
    assert 0 < small < large // 2
    state, passes, _, _ = edit(tight, method="dreammotion")
    assert passes == all_passes - len(files(tight))  # without those of the empty prompt
    assert torch.equal(state.z_average, plain("dreammotion").z_average)
    none = ReferenceStore(tmp_path / "none", 10)
    edit(none)
    assert not files(none)


def test_a_store_that_cannot_be_written_costs_a_warning_and_no_edit(tmp_path):
    (tmp_path / "store").write_text("a file, no folder")
    state, _, _, warnings = edit(ReferenceStore(tmp_path / "store", MEGABYTE))
    assert torch.equal(state.z_average, plain().z_average)
    assert len(warnings) == 1
    assert "is not kept" in warnings[0][0]


def whole_job(tmp_path, name, job, store):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "job.json").write_text(dumps(job), encoding="utf-8")
    reporter = NotingReporter(Reporter())
    result = loads(run_job(folder, reporter, store=store).read_text(encoding="utf-8"))
    return frames_of(folder), result["references_read"]


def test_a_whole_job_reads_them_only_where_nothing_that_matters_changed(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=4)
    store = ReferenceStore(tmp_path / "references", 10 * MEGABYTE)
    expected, read = whole_job(tmp_path, "without", job, None)
    assert read == 0
    first, read = whole_job(tmp_path, "first", job, store)
    assert read == 0
    again, read = whole_job(tmp_path, "again", job, store)
    assert read == job.settings.steps
    assert np.array_equal(expected, first)
    assert np.array_equal(expected, again)
    free = {
        "target": replace(job, target_prompt=job.target_prompt + " at night"),
        "strength": replace(job, settings=replace(job.settings, strength=0.5, step_size=0.1)),
        "mask": replace(job, mask=None),
    }
    for name, changed in free.items():
        assert whole_job(tmp_path, name, changed, store)[1] == changed.settings.most_steps, name
    bound = {
        "prompt": replace(job, source_prompt=job.source_prompt + " at night"),
        "seed": replace(job, seed=5),
        "scale": replace(job, settings=replace(job.settings, guidance_scale=5)),
        "threads": replace(job, threads=2),
        "clip": replace(job, source=replace(job.source, frames=(0, 1, 2, 2))),
    }
    for name, changed in bound.items():
        assert whole_job(tmp_path, name, changed, store)[1] == 0, name


def test_nothing_that_earlier_weights_left_is_read(tmp_path):
    folder = shutil.copytree(find_backbone("demo").folder, tmp_path / "backbone")
    job = replace(movie_job(tmp_path / "in", frames=4)[0], backbone=str(folder))
    store = ReferenceStore(tmp_path / "references", 10 * MEGABYTE)
    whole_job(tmp_path, "first", job, store)
    assert whole_job(tmp_path, "again", job, store)[1] == job.settings.steps
    retrain(folder)
    assert whole_job(tmp_path, "retrained", job, store)[1] == 0
