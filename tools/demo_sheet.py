# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws compare.png: source, edited, difference and exact answer over time (numpy and Pillow).

python -m tools.demo_sheet SHEET.png PICTURE.png    # the README's: first and last clip, smaller
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Frames = NDArray[np.uint8]
COLUMNS = 6
_WIDTH, _GAP, _MARGIN, _HEAD = 240, 4, 78, 24
_README_WIDTH = 860
_BACKGROUND, _TEXT = (24, 24, 24), (220, 220, 220)


@dataclass(frozen=True)
class Row:
    """One clip of the sheet, (n, h, w, 3) each; `exact` is its counterfactual, if there is one."""

    title: str
    source: Frames
    edited: Frames
    exact: Frames | None


def draw_sheet(clips: list[Row], path: Path) -> None:
    """Write the sheet; the difference is the absolute one, as it is."""
    font = ImageFont.load_default(13)
    blocks = [_draw_clip(clip, font) for clip in clips]
    height = sum(block.height for block in blocks)
    sheet = Image.new("RGB", (blocks[0].width, height), _BACKGROUND)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    sheet.save(path, optimize=True)


def _draw_clip(clip: Row, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> Image.Image:
    """The rows of one clip."""
    spread = np.linspace(0, len(clip.source) - 1, min(COLUMNS, len(clip.source)))
    indices = [int(index) for index in spread.round()]
    difference = np.abs(clip.edited[indices].astype(np.int16) - clip.source[indices])
    rows = {
        "source": clip.source[indices],
        "edited": clip.edited[indices],
        "difference": difference.astype(np.uint8),
    }
    if clip.exact is not None:
        rows["exact"] = clip.exact[indices]
    cell = round(_WIDTH * clip.source.shape[1] / clip.source.shape[2])
    size = (_MARGIN + COLUMNS * (_WIDTH + _GAP), _HEAD + len(rows) * (cell + _GAP) + _GAP)
    block = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(block)
    for column, index in enumerate(indices):
        x = _MARGIN + column * (_WIDTH + _GAP)
        draw.text((x, 5), f"{clip.title}, frame {index + 1}", _TEXT, font)
    for line, (label, pictures) in enumerate(rows.items()):
        y = _HEAD + line * (cell + _GAP)
        draw.text((_GAP, y + cell // 2 - 8), label, _TEXT, font)
        for column, picture in enumerate(pictures):
            small = Image.fromarray(picture).resize((_WIDTH, cell), Image.Resampling.LANCZOS)
            block.paste(small, (_MARGIN + column * (_WIDTH + _GAP), y))
    return block


def draw_readme_picture(sheet: Path, picture: Path) -> None:
    """The first clip of a sheet of three and the film below it, in true colours."""
    with Image.open(sheet) as whole:
        clip = _HEAD + 4 * (_WIDTH * 9 // 16 + _GAP) + _GAP  # both procedural clips have four rows
        film = whole.height - 2 * clip
        joined = Image.new("RGB", (whole.width, clip + film))
        joined.paste(whole.crop((0, 0, whole.width, clip)), (0, 0))
        joined.paste(whole.crop((0, 2 * clip, whole.width, whole.height)), (0, clip))
    size = (_README_WIDTH, round(joined.height * _README_WIDTH / joined.width))
    joined.resize(size, Image.Resampling.LANCZOS).save(picture, optimize=True)


if __name__ == "__main__":
    draw_readme_picture(Path(sys.argv[1]), Path(sys.argv[2]))
