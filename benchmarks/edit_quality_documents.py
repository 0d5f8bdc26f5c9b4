# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what `edit_quality` found: page, figures, plot, and a sheet of pictures a row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from PIL.Image import Image

from benchmarks.edit_quality_page import page
from benchmarks.edit_quality_plot import Point, draw
from benchmarks.edit_quality_rows import Row
from benchmarks.edit_quality_summary import Records, average
from demo.training.sheets import write_grid

_SHEET_ZOOM = 2


def write_documents(
    docs: Path,
    lines: Path,
    rows: Sequence[Row],
    records: Records,
    settings: Mapping[str, Any],
    facts: dict[str, Any],
) -> str:
    """Write page, figures, plot and sheets; returns the page.

    Args:
        docs: Folder of the page; pictures go into images/ in it.
        lines: Folder of the finished edits' picture strips.
        rows: The table's lines.
        records: Their figures.
        settings: Of every row.
        facts: Of the machine.
    """
    (docs / "images").mkdir(parents=True, exist_ok=True)
    for row in rows:
        strips = [
            iio.imread(path)
            for seed in dict.fromkeys(record["seed"] for record in records[row.name])
            if (path := lines / f"{row.name}-{seed}.png").exists()
        ]
        sheet = docs / "images" / f"edit_quality_{row.name}.png"
        write_grid(sheet, [[np.asarray(strip)] for strip in strips], zoom=_SHEET_ZOOM)
    _plot(rows, records).save(docs / "images" / "edit_quality.png", optimize=True)
    text = page(rows, records, settings, facts)
    (docs / "edit_quality.md").write_text(text, encoding="utf-8")
    (docs / "edit_quality.json").write_text(_json(records, settings, facts), encoding="utf-8")
    return text


def _plot(rows: Sequence[Row], records: Records) -> Image:
    """Success against preservation; without the row that edits nothing and keeps everything."""
    points = [
        Point(
            row.title,
            average(records[row.name], "plain", "reached"),
            average(records[row.name], "plain", "kept_psnr"),
        )
        for row in rows
        if row.method != "identity"
    ]
    return draw(points, "target attribute reached, share of edits", "kept, dB (plain decode)")


def _json(records: Records, settings: Mapping[str, Any], facts: dict[str, Any]) -> str:
    """Everything measured, an edit a line."""
    rows = []
    for name, found in records.items():
        edits = ",\n".join(json.dumps(record, ensure_ascii=False) for record in found)
        head = json.dumps({"settings": settings[name]})[:-1]
        rows.append(f'{json.dumps(name)}: {head}, "edits": [\n{edits}\n]}}')
    every = ",\n".join(rows)
    return f'{{"facts": {json.dumps(facts)}, "rows": {{\n{every}\n}}}}\n'
