# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): clip, edit and difference in one picture.

Memory: the sheet itself, whatever the length of the clip.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..atomic_file import write_atomic
from .clip import Picture

AMPLIFICATION = 4
"""The difference is shown this many times as strong, around middle grey."""

ROWS = ("source", "edited", f"difference x{AMPLIFICATION} around grey")
_BACKGROUND = (24, 24, 24)
_LABEL = (210, 210, 210)
_GREY = 128
_LABEL_PX = 20
_GAP_PX = 4
_FONT_PX = 13
_LARGEST_THUMBNAIL_PX = 480


class ContactSheet:
    """Rows of source, edited and difference for frames spread evenly over the clip.

    Frames are numbered from 1, as the files of the result are. Alpha is shown over middle grey.

    Args:
        path: Target PNG, written when the `with` block ends without an error.
        frame_count: Frames of the clip.
        columns: Most frames to show.
        width_px: Width of the sheet, in px; narrower where few frames would become too large.
    """

    def __init__(
        self, path: Path, frame_count: int, columns: int = 8, width_px: int = 1600
    ) -> None:
        self.path = path
        count = max(1, min(columns, frame_count))
        spread = np.linspace(0, frame_count - 1, count).round().astype(int)
        self.indices: tuple[int, ...] = tuple(spread.tolist())
        self._thumbnail_width = min((width_px - _GAP_PX) // count - _GAP_PX, _LARGEST_THUMBNAIL_PX)
        self._sheet: Image.Image | None = None
        self._thumbnail_size = (0, 0)
        self._font = ImageFont.load_default(_FONT_PX)

    def __enter__(self) -> Self:
        return self

    def add(self, index: int, source: Picture, edited: Picture) -> None:
        """Show a frame when it is one of the sheet's; others are ignored.

        Args:
            index: Frame of the clip, from 0.
            source: uint8 (height, width, 3 or 4).
            edited: Same shape.
        """
        if index not in self.indices:
            return
        sheet = self._sheet = self._sheet or self._empty(source)
        source, edited = _flat(source), _flat(edited)
        change = edited.astype(np.int16) - source.astype(np.int16)
        difference = np.clip(_GREY + AMPLIFICATION * change, 0, 255).astype(np.uint8)
        column = self.indices.index(index)
        x = _GAP_PX + column * (self._thumbnail_width + _GAP_PX)
        for row, picture in enumerate((source, edited, difference)):
            image = Image.fromarray(picture)
            # Averaging when smaller, so that single changed pixels stay visible; crisp when larger.
            method = Image.Resampling.BOX
            sheet.paste(image.resize(self._thumbnail_size, method), (x, self._row_top(row)))
        ImageDraw.Draw(sheet).text(
            (x + 2, self._row_top(len(ROWS)) - _LABEL_PX), f"{index + 1}", _LABEL, self._font
        )

    def _row_top(self, row: int) -> int:
        return _LABEL_PX + row * (self._thumbnail_size[1] + _LABEL_PX + _GAP_PX)

    def _empty(self, picture: Picture) -> Image.Image:
        height, width = picture.shape[:2]
        self._thumbnail_size = (
            self._thumbnail_width,
            max(1, round(self._thumbnail_width * height / width)),
        )
        sheet_width = _GAP_PX + len(self.indices) * (self._thumbnail_width + _GAP_PX)
        # A single narrow column still has to hold the longest label.
        sheet_width = max(
            sheet_width, round(self._font.getlength(max(ROWS, key=len))) + 4 * _GAP_PX
        )
        sheet = Image.new("RGB", (sheet_width, self._row_top(len(ROWS))), _BACKGROUND)
        draw = ImageDraw.Draw(sheet)
        for row, label in enumerate(ROWS):
            draw.text((_GAP_PX, self._row_top(row) - _LABEL_PX + 2), label, _LABEL, self._font)
        return sheet

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None or self._sheet is None:
            return
        buffer = io.BytesIO()
        self._sheet.save(buffer, format="PNG")
        write_atomic(self.path, buffer.getvalue())


def _flat(picture: Picture) -> Picture:
    """RGB of a picture, alpha laid over middle grey."""
    if picture.shape[2] == 3:
        return picture
    wide = picture.astype(np.uint16)
    alpha = wide[:, :, 3:]
    return ((wide[:, :, :3] * alpha + _GREY * (255 - alpha) + 127) // 255).astype(np.uint8)
