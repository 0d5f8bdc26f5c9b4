# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta Strip's methods and their parts, measured on the procedural world's exact answers.

    .venv/bin/python -m benchmarks.edit_quality [--backbone FOLDER]

Runs the rows of `edit_quality_rows` on its edits and noise seeds, two processes of one thread, and
writes docs/edit_quality.md, docs/edit_quality.json and pictures in docs/images/. A finished edit is
a line in build/edit_quality/ROW.jsonl; begun again, the command goes on after the last one.

`--tuning FOLDER` runs other clips, and the trials of settings, instead, and writes what they show
into docs/edit_quality_tuning.md; `--into FOLDER` with `--rows` or `--edits` runs a part of the
table and writes into the folder alone. `--seeds 1` halves the work of either.

Every edit runs by itself: timesteps and the stopping rule are an edit's own, and on one CPU thread
a larger batch is no faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.baselines import invert_and_resample, noise_and_denoise
from benchmarks.demo_edits import Levels, Subject, levels, optimise, outputs, subject
from benchmarks.edit_quality_documents import write_documents
from benchmarks.edit_quality_figures import measured
from benchmarks.edit_quality_rows import (
    NOISE_SEEDS,
    ROWS,
    TRIALS,
    Place,
    Row,
    table_edits,
    tuning_edits,
)
from benchmarks.edit_quality_store import RowFile, weights_of
from benchmarks.edit_quality_summary import Record
from benchmarks.edit_quality_tuning import own_numbers, tuning_page
from benchmarks.machine import cpu_name
from benchmarks.shared_references import SharedReferences
from demo.grammar import caption
from engine.backbones.base import Backbone
from engine.backbones.loading import LoadedBackbones, image_backbone_for, load_backbone
from engine.editing.edit import Edit
from engine.guidance.randomness import frame_noise
from engine.registry import find_backbone

ROOT = Path(__file__).resolve().parent.parent
SHEET_EDITS = 4
"""The first so many edits are shown in the rows' sheets."""
_CPU = torch.device("cpu")
# What an edit costs, in delta denoising scores, for the time left.
_COSTS = {"identity": 0.05, "sdedit": 0.5, "ddim_inversion": 0.75, "sds": 0.5, "dds": 1.0}
_COSTS |= {"dreammotion": 2.0, "assd": 1.3}


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        backbone: Id or folder.
        rows: Lines of the table.
        edits: On which clips.
        noise_seeds: Seeds of noise and timesteps.
        folder: Where the finished edits are kept.
        processes: Of one thread each.
    """

    backbone: str
    rows: Sequence[Row]
    edits: Sequence[Place]
    noise_seeds: Sequence[int]
    folder: Path
    processes: int = 2


def measure(plan: Plan) -> dict[str, list[Record]]:
    """Run what is not yet done; returns the lines of every row in the order of the edits."""
    card = find_backbone(plan.backbone)
    plan.folder.mkdir(parents=True, exist_ok=True)
    files = {
        row.name: RowFile(plan.folder / f"{row.name}.jsonl", row.identity(card))
        for row in plan.rows
    }
    # All rows of an edit in one go, because they share their source branches.
    jobs = {
        (place, seed): [row for row in plan.rows if not files[row.name].has(place.seed, seed)]
        for seed in plan.noise_seeds
        for place in plan.edits
    }
    costs = {job: sum(_COSTS[row.method] for row in rows) for job, rows in jobs.items()}
    shown = [(place.seed, plan.noise_seeds[0]) for place in plan.edits[:SHEET_EDITS]]
    pool = ProcessPoolExecutor(plan.processes, mp_context=get_context("spawn"))
    bar = tqdm(
        total=sum(costs.values()),
        bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
    )
    try:
        futures = {
            pool.submit(_run, plan.backbone, *job, rows): job for job, rows in jobs.items() if rows
        }
        for future in as_completed(futures):
            place, seed = futures[future]
            for name, (record, strip) in future.result().items():
                if (place.seed, seed) in shown:
                    iio.imwrite(plan.folder / f"{name}-{place.seed}.png", strip)
                files[name].append(record)
            bar.set_description(f"{place.kind}, {place.scene}")
            bar.update(costs[place, seed])
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)
    wanted = [(place.seed, seed) for place in plan.edits for seed in plan.noise_seeds]
    return {name: [file.records[key] for key in wanted] for name, file in files.items()}


@cache
def _loaded(name: str) -> Backbone:
    torch.set_num_threads(1)
    return load_backbone(find_backbone(name), device=_CPU, dtype=torch.float32)


@cache
def _image_model(name: str) -> Backbone:
    """The backbone's own image mode."""
    loaded = LoadedBackbones()
    return image_backbone_for(_loaded(name), "", loaded, device=_CPU, dtype=torch.float32)


@lru_cache(maxsize=1)
def _subject(name: str, place: Place) -> Subject:
    return subject(_loaded(name), place.case())


def _run(
    name: str, place: Place, seed: int, rows: Sequence[Row]
) -> dict[str, tuple[Record, Levels]]:
    """Rows on one edit with one noise seed: of each its line and a strip of pictures."""
    backbone, given = _loaded(name), _subject(name, place)
    shared: dict[str, SharedReferences] = {}
    found = {}
    for row in rows:
        image = _image_model(name) if needs_image(row, backbone) else None
        key = row.source_branch(backbone.card, place.kind)
        references = shared.setdefault(key, SharedReferences()) if key else None
        found[row.name] = run_edit(backbone, image, row, place, given, seed, references)
    return found


def needs_image(row: Row, backbone: Backbone) -> bool:
    """Whether a row uses joint image guidance."""
    return row.method == "assd" and row.settings(backbone.card, "color").assd.image_weight > 0


def run_edit(
    backbone: Backbone,
    image: Backbone | None,
    row: Row,
    place: Place,
    given: Subject,
    seed: int,
    references: SharedReferences | None = None,
) -> tuple[Record, Levels]:
    """One row on one edit with one noise seed; also source, plain decode, product, truth in a row.

    First and last frame of each, `(h, 8 · w, 3)`.
    """
    settings = row.settings(backbone.card, place.kind)
    saved = references.saved_seconds if references else 0.0
    start = time.process_time()
    latents, about = _edited(backbone, image, row, given, seed, references)
    seconds = time.process_time() - start
    if references:  # as if no other row had looked at the source before
        seconds += references.saved_seconds - saved
    plain, product = outputs(backbone, given, latents, settings.smoothing_frames)
    record = {
        "kind": place.kind,
        "scene": place.scene,
        "seed": place.seed,
        "noise_seed": seed,
        "source": caption(given.case.source),
        "target": caption(given.case.target),
        **about,
        "seconds": round(seconds, 2),
        "plain": measured(given, plain, levels(given.before)),
        "product": measured(given, product, given.source.frames),
    }
    clips = (given.source.frames, plain, product, given.target.frames)
    return record, np.concatenate([clip[i] for clip in clips for i in (0, -1)], axis=1)


def _edited(
    backbone: Backbone,
    image: Backbone | None,
    row: Row,
    given: Subject,
    seed: int,
    references: SharedReferences | None,
) -> tuple[Tensor, dict[str, Any]]:
    """A row's latents for an edit; steps done, and how far the model found the edit to be."""
    settings, z_source = row.settings(backbone.card, given.case.kind), given.z_source
    source, target = caption(given.case.source), caption(given.case.target)
    if row.method == "identity":
        return z_source, {"steps": 0, "progress": 0.0}
    sampling = {"steps": settings.steps, "guidance_scale": settings.guidance_scale}
    about = {"steps": settings.steps, "progress": 0.0}
    if row.method == "sdedit":
        noise = frame_noise(seed, 0, range(len(z_source)), _shape(z_source)).to(z_source)
        edited = noise_and_denoise(
            backbone, z_source, noise, target, strength=row.strength, **sampling
        )
        return edited, about
    if row.method == "ddim_inversion":
        return invert_and_resample(backbone, z_source, source, target, **sampling), about
    edit = Edit(
        backbone,
        given.latents(backbone.latent_factor, masked=row.masked),
        source_prompt=source,
        target_prompt=target,
        settings=settings,
        seed=seed,
        method=row.method,
        image_backbone=image,
        references=references,
    )
    state = optimise(edit)
    return state.z_average, {"steps": state.step, "progress": round(state.progress, 3)}


def _shape(latents: Tensor) -> tuple[int, int, int]:
    _, channels, height, width = latents.shape
    return channels, height, width


def main() -> None:
    """Measure, and write the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="demo", help="id or folder (default: demo)")
    parser.add_argument("--tuning", type=Path, metavar="FOLDER", help="tuning edits, into FOLDER")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="a part of the table, into it")
    parser.add_argument("--rows", help="names with commas in between (default: all)")
    parser.add_argument("--edits", type=int, help="only the first so many")
    parser.add_argument("--seeds", type=int, help="only the first so many noise seeds")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each (default 2)")
    given = parser.parse_args()
    is_part = given.rows is not None or given.edits is not None or given.seeds is not None
    if is_part and not (given.into or given.tuning):
        parser.error("a part of the table needs --into FOLDER, apart from the whole one's")
    rows = (*ROWS, *TRIALS) if given.tuning else ROWS
    known = {row.name: row for row in rows}
    names = given.rows.split(",") if given.rows else list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(known)}")
    edits = tuning_edits() if given.tuning else table_edits()
    folder = given.tuning or given.into
    plan = Plan(
        backbone=given.backbone,
        rows=[known[name] for name in names],
        edits=edits[: given.edits],
        noise_seeds=NOISE_SEEDS[: given.seeds],
        folder=folder or ROOT / "build" / "edit_quality",
        processes=given.processes,
    )
    records = measure(plan)
    card = find_backbone(plan.backbone)
    facts = {
        "torch": torch.__version__,
        "machine": f"{cpu_name()}, {plan.processes} processes of one thread",
        "minutes": round(sum(r["seconds"] for f in records.values() for r in f) / 60),
        "backbone": card.id,
        "weights": weights_of(card),
        "clips": "the tuning" if given.tuning else "the table's",
    }
    settings = {row.name: asdict(row.settings(card, "color")) for row in plan.rows}
    docs = folder or ROOT / "docs"
    print(write_documents(docs, plan.folder, plan.rows, records, settings, facts))
    if given.tuning and given.rows is None and given.edits is None:
        facts["own"] = own_numbers(plan.rows[0].settings(card, "color"))
        text = tuning_page(plan.rows, records, facts)
        (ROOT / "docs" / "edit_quality_tuning.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
