# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws edit success against preservation, a point a row. Imports numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.edit_quality_summary import Estimate

_WIDTH, _HEIGHT, _LEGEND = 1000, 520, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52
_INK, _FAINT = (40, 40, 40), (222, 222, 222)
_COLOURS = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
)
_RADIUS = 9
_FONT_PX = 13
_TICKS = 5


@dataclass(frozen=True)
class Point:
    """A row: how often it reaches its goal, and what it keeps."""

    title: str
    success: Estimate
    preservation: Estimate


def draw(points: Sequence[Point], across: str, up: str) -> Image.Image:
    """Points with whiskers of one standard error, numbered as in the legend beside them."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT_PX)
    spans = (
        _span([point.success for point in points]),
        _span([point.preservation for point in points]),
    )

    def place(x: float, y: float) -> tuple[float, float]:
        shares = [(v - low) / (high - low) for v, (low, high) in zip((x, y), spans, strict=True)]
        width = _WIDTH - _LEGEND - _LEFT - _RIGHT
        return (
            _LEFT + shares[0] * width,
            _HEIGHT - _BOTTOM - shares[1] * (_HEIGHT - _TOP - _BOTTOM),
        )

    for x in np.linspace(*spans[0], _TICKS):
        pen.line([place(x, spans[1][0]), place(x, spans[1][1])], fill=_FAINT)
        pen.text(place(x, spans[1][0]), f"{x:.2f}", _INK, font, anchor="ma")
    for y in np.linspace(*spans[1], _TICKS):
        pen.line([place(spans[0][0], y), place(spans[0][1], y)], fill=_FAINT)
        left, height = place(spans[0][0], y)
        pen.text((left - 6, height), f"{y:.1f}", _INK, font, anchor="rm")
    pen.text(((_LEFT + _WIDTH - _LEGEND) / 2, _HEIGHT - 8), across, _INK, font, anchor="ms")
    pen.text((_LEFT + 6, _TOP + 4), up, _INK, font)
    for number, point in enumerate(points):
        colour = _COLOURS[number % len(_COLOURS)]
        x, y = point.success.value, point.preservation.value
        wide, tall = point.success.error or 0.0, point.preservation.error or 0.0
        pen.line([place(x - wide, y), place(x + wide, y)], fill=colour)
        pen.line([place(x, y - tall), place(x, y + tall)], fill=colour)
        _mark(pen, font, place(x, y), number, colour)
        top = _TOP + 16 + number * 26
        _mark(pen, font, (_WIDTH - _LEGEND + 14, top), number, colour)
        pen.text((_WIDTH - _LEGEND + 30, top), point.title, _INK, font, anchor="lm")
    return picture


def _mark(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    at: tuple[float, float],
    number: int,
    colour: tuple[int, int, int],
) -> None:
    pen.circle(at, _RADIUS, fill=colour, outline="white")
    pen.text(at, str(number + 1), "white", font, anchor="mm")


def _span(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """The figures and their whiskers, with some room."""
    low = min(e.value - (e.error or 0.0) for e in estimates)
    high = max(e.value + (e.error or 0.0) for e in estimates)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room
