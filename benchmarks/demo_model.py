# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo backbone knows and how well it can be edited, against gates and the study's model.

    .venv/bin/python -m benchmarks.demo_model [--backbone FOLDER]

Autoencoder, 96 clips sampled from captions and judged by fixed rules (demo/judge.py), and edits of
colour, background and shape with DDS and a mask, each against its exact counterfactual. One method
and one setting for all edits of a kind. Writes docs/demo_model.json, docs/demo_model.md and sheets
in docs/images/. Clips come from GATE_SEEDS, which neither training (seeds from a million on) nor
tuning (TUNING_SEEDS) has seen; `--tuning` runs on the latter and writes nothing into docs/.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.demo_edits import EditRow, Levels, case, everything, levels, run_edit
from benchmarks.demo_model_page import page
from demo.generate import generate
from demo.grammar import caption
from demo.judge import judge
from demo.sampling import sample_spec
from demo.training.sheets import write_grid
from demo.truth import Kind, psnr
from demo.world import render
from engine.backbones.base import Backbone
from engine.backbones.loading import choose_device, load_backbone
from engine.job import EditSettings, with_settings
from engine.registry import find_backbone

Seeds = dict[str, tuple[int, ...]]
GATE_SEEDS: Seeds = {
    "autoencoder": tuple(range(20_000, 20_032)),
    "captions": tuple(range(21_000, 21_096)),
    "color": tuple(range(22_000, 22_024)),
    "background": tuple(range(23_000, 23_012)),
    "shape": tuple(range(24_000, 24_012)),
    "everything": tuple(range(25_000, 25_012)),
}
TUNING_SEEDS: Seeds = {
    "autoencoder": tuple(range(10_000, 10_008)),
    "captions": tuple(range(11_000, 11_024)),
    "color": tuple(range(12_000, 12_012)),
    "background": tuple(range(13_000, 13_006)),
    "shape": tuple(range(14_000, 14_006)),
    "everything": tuple(range(15_000, 15_006)),
}
EDITS: tuple[Kind, ...] = ("color", "background", "shape")
DOCS = Path(__file__).resolve().parent.parent / "docs"


def settings_of(kind: Kind, backbone: Backbone) -> EditSettings:
    """The recommended settings; what differs for a kind of edit was chosen on TUNING_SEEDS."""
    recommended = backbone.card.recommended("dds")
    changes: dict[Kind, dict[str, Any]] = {"color": {}, "background": {}, "shape": {}}
    return with_settings(recommended, **changes[kind])


@cache
def _backbone(folder: str) -> Backbone:
    torch.set_num_threads(1)
    device = choose_device("cpu")
    return load_backbone(find_backbone(folder), device=device, dtype=torch.float32)


def autoencoder(folder: str, seed: int) -> tuple[dict[str, Any], list[Levels]]:
    """PSNR of the reconstruction of a clip: whole frames, and inside the object."""
    clip = render(sample_spec(seed))
    backbone = _backbone(folder)
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255
    decoded = levels(backbone.decode(backbone.encode(frames)))
    inside = clip.alpha > 0.5
    row = {
        "seed": seed,
        "whole": round(psnr(decoded, clip.frames), 3),
        "object": round(psnr(decoded, clip.frames, inside), 3),
    }
    return row, [clip.frames[:1], decoded[:1]]


def sampled_caption(folder: str, seed: int) -> tuple[dict[str, Any], list[Levels]]:
    """What is to be seen in a clip sampled from a caption of one object, and what was asked for."""
    spec = sample_spec(seed)
    clip = levels(generate(_backbone(folder), [caption(spec)], seed=seed)[0])
    seen = asdict(judge(clip))
    asked = {name: getattr(spec, name) for name in seen}
    right = {name: seen[name] == asked[name] for name in seen}
    return {"seed": seed, "caption": caption(spec), "seen": seen, "right": right}, [clip]


def edit(folder: str, kind: Kind, seed: int) -> tuple[EditRow, list[Levels]]:
    """One edit of the study's kind of clip."""
    backbone = _backbone(folder)
    return run_edit(backbone, case(kind, seed), settings_of(kind, backbone))


def edit_of_everything(folder: str, seed: int) -> tuple[EditRow, list[Levels]]:
    """A colour edit of a clip out of everything the world has."""
    backbone = _backbone(folder)
    found = case("color", seed, sample=everything(seed))
    return run_edit(backbone, found, settings_of("color", backbone))


def _map(
    pool: ProcessPoolExecutor, name: str, work: Callable[..., Any], arguments: Iterable[tuple]
) -> list[Any]:
    jobs = [pool.submit(work, *given) for given in arguments]
    return [job.result() for job in tqdm(jobs, desc=name, unit="clip")]


def measure_all(folder: str, seeds: Seeds, sheets: Path, processes: int) -> dict[str, Any]:
    """Run everything; returns rows by part, and leaves the sheets."""
    rows: dict[str, Any] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = _map(pool, "autoencoder", autoencoder, [(folder, s) for s in seeds["autoencoder"]])
        rows["autoencoder"] = [row for row, _ in found]
        pairs = [pictures for _, pictures in found[:12]]
        write_grid(
            sheets / "demo_autoencoder.png", [[p[part][0] for p in pairs] for part in (0, 1)]
        )
        found = _map(pool, "captions", sampled_caption, [(folder, s) for s in seeds["captions"]])
        rows["captions"] = [row for row, _ in found]
        # First and last frame of every clip, eight clips a row.
        ends = [[clip[0], clip[-1]] for _, [clip] in found]
        lines = [ends[start : start + 8] for start in range(0, len(ends), 8)]
        write_grid(sheets / "demo_samples.png", [list(chain.from_iterable(x)) for x in lines])
        for kind in EDITS:
            found = _map(pool, kind, edit, [(folder, kind, s) for s in seeds[kind]])
            rows[kind] = [asdict(row) for row, _ in found]
            _write_edits(sheets / f"demo_edits_{kind}.png", found)
        found = _map(
            pool, "everything", edit_of_everything, [(folder, s) for s in seeds["everything"]]
        )
        rows["everything"] = [asdict(row) for row, _ in found]
        _write_edits(sheets / "demo_edits_everything.png", found)
    return rows


def _write_edits(path: Path, found: list[tuple[EditRow, list[Levels]]]) -> None:
    """A row an edit: first, middle and last frame of source, plain decode, product and truth."""
    write_grid(path, [[c[i] for c in clips for i in (0, len(c) // 2, -1)] for _, clips in found])


def main() -> None:
    """Measure, and write the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="demo", help="id or folder (default: demo)")
    parser.add_argument("--tuning", type=Path, metavar="FOLDER", help="tuning seeds, into FOLDER")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each (default 2)")
    given = parser.parse_args()
    docs: Path = given.tuning or DOCS
    (docs / "images").mkdir(parents=True, exist_ok=True)
    seeds = TUNING_SEEDS if given.tuning else GATE_SEEDS
    rows = measure_all(given.backbone, seeds, docs / "images", given.processes)
    facts = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
    (docs / "demo_model.json").write_text(json.dumps(rows | facts, indent=1) + "\n", "utf-8")
    text = page(rows, facts)
    (docs / "demo_model.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
