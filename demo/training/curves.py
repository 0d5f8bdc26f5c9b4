# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the losses of a training over its time. Imports numpy and Pillow only.

python -m demo.training.curves FOLDER PICTURE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

_WIDTH, _HEIGHT, _EDGE = 420, 260, 44
_STAGES = {
    "autoencoder": ("psnr", "dB"),
    "images": ("loss", "v error"),
    "prior": ("motion", "share of the mean motion that is predicted"),
    "video": ("loss", "v error"),
}
_INK, _FAINT, _LINE = (40, 40, 40), (215, 215, 215), (30, 90, 200)
_SMOOTH = 20
_LEAST_SMOOTH = 5


def draw_curves(folder: Path) -> Image.Image:
    """One panel for every stage that was trained: its figure against minutes."""
    logs = {stage: folder / f"{stage}.jsonl" for stage in _STAGES}
    logs = {stage: path for stage, path in logs.items() if path.is_file()}
    sheet = Image.new("RGB", (_WIDTH * len(logs), _HEIGHT), "white")
    for number, (stage, path) in enumerate(logs.items()):
        figure, unit = _STAGES[stage]
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        minutes = np.array([line["seconds"] / 60 for line in lines])
        values = np.array([line[figure] for line in lines])
        sheet.paste(_panel(f"{stage}: {unit}", minutes, values), (number * _WIDTH, 0))
    return sheet


def _panel(title: str, minutes: np.ndarray, values: np.ndarray) -> Image.Image:
    panel = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(panel)
    span = max(_LEAST_SMOOTH, len(values) // _SMOOTH)  # a line of the log is a few clips' error
    smooth = np.convolve(values, np.ones(span) / span, mode="valid")
    minutes = minutes[span - 1 :]
    # The first few points are far off the scale of all others.
    low, high = float(smooth.min()), float(np.quantile(smooth, 0.97))
    if smooth[-1] > smooth[0]:
        low, high = float(np.quantile(smooth, 0.03)), float(smooth.max())
    longest = float(minutes.max())

    def place(minute: float, value: float) -> tuple[float, float]:
        across = _EDGE + minute / longest * (_WIDTH - 1.5 * _EDGE)
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return across, _HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE)

    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        ends = [place(0, value), place(longest, value)]
        draw.line(ends, fill=_FAINT)
        draw.text((4, ends[0][1] - 6), f"{value:.3g}", fill=_INK)
        draw.text(
            (place(share * longest, low)[0] - 8, _HEIGHT - 34), f"{share * longest:.0f}", _INK
        )
    draw.text((_EDGE, 12), title, fill=_INK)
    draw.text((_WIDTH // 2 - 20, _HEIGHT - 18), "minutes", fill=_INK)
    draw.line([place(m, v) for m, v in zip(minutes, smooth, strict=True)], fill=_LINE, width=2)
    return panel


if __name__ == "__main__":
    draw_curves(Path(sys.argv[1])).save(sys.argv[2])
