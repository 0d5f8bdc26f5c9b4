# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo backbone knows and how well it can be edited, against gates and the study's model.

    .venv/bin/python -m benchmarks.demo_model [--backbone FOLDER]

Autoencoder, 96 clips sampled from captions and judged by fixed rules (demo/judge.py), and edits of
colour, background and shape with DDS and a mask, each against its exact counterfactual. One method
and one setting for all edits of a kind. Writes docs/demo_model.json, docs/demo_model.md and sheets
in docs/images/. Clips come from GATE_SEEDS, which neither training (seeds from a million on) nor
tuning (TUNING_SEEDS) has seen; `--tuning` runs on the latter and writes nothing into docs/.

A finished clip is a file in build/demo_model/; begun again, the command goes on after the last one.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.demo_edits import Levels, case, everything, levels, run_edit
from benchmarks.demo_model_page import page
from benchmarks.demo_model_store import Found, claim, kept
from benchmarks.demo_settings import KIND_CHANGES
from benchmarks.edit_quality_store import weights_of
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
from engine.registry import BackboneCard, find_backbone

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
ROOT = Path(__file__).resolve().parent.parent


def settings_of(kind: Kind, card: BackboneCard) -> EditSettings:
    """The recommended settings; what differs for a kind of edit was chosen on TUNING_SEEDS."""
    return with_settings(card.recommended("dds"), **KIND_CHANGES[kind])


@cache
def _backbone(folder: str) -> Backbone:
    torch.set_num_threads(1)
    device = choose_device("cpu")
    return load_backbone(find_backbone(folder), device=device, dtype=torch.float32)


def autoencoder(folder: str, seed: int) -> Found:
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


def sampled_caption(folder: str, seed: int) -> Found:
    """What is to be seen in a clip sampled from a caption of one object, and what was asked for."""
    spec = sample_spec(seed)
    clip = levels(generate(_backbone(folder), [caption(spec)], seed=seed)[0])
    seen = asdict(judge(clip))
    asked = {name: getattr(spec, name) for name in seen}
    right = {name: seen[name] == asked[name] for name in seen}
    return {"seed": seed, "caption": caption(spec), "seen": seen, "right": right}, [clip]


def edit(folder: str, kind: Kind, seed: int) -> Found:
    """One edit of the study's kind of clip."""
    backbone = _backbone(folder)
    row, clips = run_edit(backbone, case(kind, seed), settings_of(kind, backbone.card))
    return asdict(row), clips


def edit_of_everything(folder: str, seed: int) -> Found:
    """A colour edit of a clip out of everything the world has."""
    backbone = _backbone(folder)
    found = case("color", seed, sample=everything(seed))
    row, clips = run_edit(backbone, found, settings_of("color", backbone.card))
    return asdict(row), clips


def identity(card: BackboneCard) -> dict[str, Any]:
    """What the figures depend on: weights and settings."""
    return {
        "weights": weights_of(card),
        "settings": {kind: asdict(settings_of(kind, card)) for kind in EDITS},
    }


def measure_all(
    backbone: str, seeds: Seeds, finished: Path, sheets: Path, processes: int
) -> dict[str, Any]:
    """Run what is not yet done; returns rows by part, and leaves the sheets.

    Args:
        backbone: Id or folder.
        seeds: Of the clips, by part.
        finished: Folder for the finished clips.
        sheets: Folder for the pictures.
        processes: Of one thread each.
    """
    claim(finished, identity(find_backbone(backbone)))
    parts: dict[str, tuple[Callable[..., Found], tuple[Any, ...]]] = {
        "autoencoder": (autoencoder, (backbone,)),
        "captions": (sampled_caption, (backbone,)),
        **{kind: (edit, (backbone, kind)) for kind in EDITS},
        "everything": (edit_of_everything, (backbone,)),
    }
    found: dict[str, list[Found]] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for name, (work, first) in parts.items():
            jobs = [
                pool.submit(kept, finished, f"{name}-{seed}", work, (*first, seed))
                for seed in seeds[name]
            ]
            found[name] = [job.result() for job in tqdm(jobs, desc=name, unit="clip")]
    write_sheets(sheets, {name: [clips for _, clips in part] for name, part in found.items()})
    return {name: [row for row, _ in part] for name, part in found.items()}


def write_sheets(folder: Path, clips: dict[str, list[list[Levels]]]) -> None:
    """The pictures of the page."""
    pairs = clips["autoencoder"][:12]
    write_grid(folder / "demo_autoencoder.png", [[p[part][0] for p in pairs] for part in (0, 1)])
    # First and last frame of every sample, eight samples a row.
    ends = [[clip[0], clip[-1]] for [clip] in clips["captions"]]
    lines = [ends[start : start + 8] for start in range(0, len(ends), 8)]
    write_grid(folder / "demo_samples.png", [list(chain.from_iterable(x)) for x in lines])
    for name in (*EDITS, "everything"):
        # A row an edit: first, middle and last frame of source, plain decode, product and truth.
        rows = [[c[i] for c in row for i in (0, len(c) // 2, -1)] for row in clips[name]]
        write_grid(folder / f"demo_edits_{name}.png", rows)


def main() -> None:
    """Measure, and write the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="demo", help="id or folder (default: demo)")
    parser.add_argument("--tuning", type=Path, metavar="FOLDER", help="tuning seeds, into FOLDER")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each (default 2)")
    given = parser.parse_args()
    docs: Path = given.tuning or ROOT / "docs"
    (docs / "images").mkdir(parents=True, exist_ok=True)
    seeds = TUNING_SEEDS if given.tuning else GATE_SEEDS
    finished: Path = given.tuning or ROOT / "build" / "demo_model"
    rows = measure_all(given.backbone, seeds, finished, docs / "images", given.processes)
    facts = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
    (docs / "demo_model.json").write_text(json.dumps(rows | facts, indent=1) + "\n", "utf-8")
    text = page(rows, facts)
    (docs / "demo_model.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
