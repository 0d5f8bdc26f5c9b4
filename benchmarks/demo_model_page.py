# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates of the demo backbone and the page docs/demo_model.md."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import Any

from benchmarks.demo_settings import kinds_own

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Gate:
    """One line of the table.

    Attributes:
        what: What was measured.
        value: The figure.
        limit: What it must reach; None: told, not gated.
        study: The study's figures, one or two noise seeds; empty: not known.
        unit: Written after the figures.
        at_most: Whether smaller is better.
        untouched: The figure of the source's reconstruction, without any edit.
        exact: The figure of the exact answer.
    """

    what: str
    value: float
    limit: float | None
    study: tuple[float, ...] = ()
    unit: str = ""
    at_most: bool = False
    untouched: float | None = None
    exact: float | None = None

    def reached(self, limit: float) -> bool:
        """Whether the figure is at least as good as a limit."""
        return self.value <= limit if self.at_most else self.value >= limit

    def line(self) -> str:
        """A row of the table."""
        sign = "≤" if self.at_most else "≥"
        gate = "" if self.limit is None else f"{sign} {self.limit:g}{self.unit}"
        met = "" if self.limit is None else ("yes" if self.reached(self.limit) else "**no**")
        study = " / ".join(f"{figure:g}" for figure in self.study)
        best = (min if self.at_most else max)(self.study) if self.study else 0.0
        better = ("yes" if self.reached(best) else "**no**") if self.study else ""
        bounds = ["" if x is None else f"{x:.2f}" for x in (self.untouched, self.exact)]
        value = f"{self.value:.2f}{self.unit}"
        return f"| {' | '.join((self.what, value, gate, met, study, better, *bounds))} |"


def gates(rows: dict[str, Any]) -> list[Gate]:
    """Every gated figure."""
    captions, color = rows["captions"], rows["color"]
    background, shape = rows["background"], rows["shape"]

    def right(*names: str) -> float:
        return 100 * mean(all(row["right"][name] for name in names) for row in captions)

    progresses = [row["plain"]["colour_progress"] for row in color]
    within = 100 * mean(0.8 <= progress <= 1.2 for progress in progresses)
    return [
        Gate("autoencoder, whole frame", _mean(rows["autoencoder"], "whole"), 30, (26.9,), " dB"),
        Gate("autoencoder, object's pixels", _mean(rows["autoencoder"], "object"), 27, (), " dB"),
        Gate("sampled captions: background right", right("background"), 95, (100,), " %"),
        Gate("object present and its colour right", right("color"), 95, (87.5,), " %"),
        Gate("shape right", right("shape"), 70, (), " %"),
        Gate("direction of motion right", right("motion"), 70, (), " %"),
        _edit_gate("colour edits: progress, mean", color, "colour_progress", 0.9, (0.84, 0.89)),
        Gate("colour edits with progress 0.8 to 1.2", within, 90, (), " %"),
        _edit_gate(
            "colour edits: trajectory error",
            color,
            "trajectory_error_px",
            1.0,
            (2.21, 1.7),
            " px",
            at_most=True,
        ),
        _edit_gate("colour edits: IoU with the object", color, "iou_target", 0.75, (0.55, 0.66)),
        _edit_gate(
            "colour edits: PSNR to the counterfactual", color, "truth_psnr", 25, (22.2, 23.3), " dB"
        ),
        _edit_gate("background edits: progress", background, "colour_progress", 0.85, (0.78, 0.77)),
        _edit_gate(
            "background edits: PSNR of the untouched object",
            background,
            "object_psnr",
            20,
            (16.9, 16.6),
            " dB",
        ),
        _edit_gate("shape edits: IoU with the new shape", shape, "iou_target", 0.75, (0.67, 0.67)),
    ]


def _edit_gate(
    what: str,
    edits: Rows,
    name: str,
    limit: float | None,
    study: tuple[float, ...],
    unit: str = "",
    *,
    at_most: bool = False,
) -> Gate:
    """The mean of a figure of the plain decode."""

    def average(of: str) -> float:
        return mean(row[of][name] for row in edits)

    return Gate(
        what, average("plain"), limit, study, unit, at_most, average("untouched"), average("exact")
    )


def further(rows: dict[str, Any]) -> list[Gate]:
    """Figures of the study that have no gate of their own: none may be below it."""
    color = rows["color"]
    return [
        _edit_gate("colour error, levels", color, "colour_error", None, (30, 20), at_most=True),
        _edit_gate(
            "PSNR outside, to the source", color, "background_psnr", None, (29.9, 30.5), " dB"
        ),
        _edit_gate(
            "PSNR outside, to its reconstruction",
            color,
            "background_psnr_rec",
            None,
            (33.2, 34.3),
            " dB",
        ),
        _edit_gate("PSNR of the object", color, "object_psnr", None, (16.4, 17.3), " dB"),
    ]


def _mean(rows: Rows, name: str) -> float:
    return mean(row[name] for row in rows)


_CONDITIONS = (
    "8 frames at 64 × 64, one object, still camera: the study's kind of clip, of any shape,",
    "colour, size, motion and background. Edits: DDS and a mask, one setting for all edits of",
    f"a kind: the recommended one, but for {kinds_own()}.",
    "Noise seed 0, figures of the plain decode as in the study. Neither training nor",
    "tuning has seen these clips; the grammar is small, so that most captions occur in",
    "training too. A frame without its object counts as 32 px off its path. Sampling: DDIM, 20",
    "steps, guidance 4; judged by the rules of `demo/judge.py`. “Study” is an earlier, smaller",
    "model; two figures are two noise seeds, and the better one counts. “No edit” is the",
    "source's reconstruction: an edit must gain on it in progress and keep what it has in",
    "trajectory.",
)


def page(rows: dict[str, Any], facts: dict[str, Any]) -> str:
    """The page docs/demo_model.md."""
    head = [
        "| what | here | gate | met | study | at least as good | no edit | exact answer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines = [
        "# The demo backbone, measured",
        "",
        "Written by `.venv/bin/python -m benchmarks.demo_model`"
        f" (torch {facts['torch']}, {facts['machine']}, one thread per process).",
        *_CONDITIONS,
        "",
        *head,
        *(gate.line() for gate in gates(rows)),
        "",
        "The study's other figures, colour edits:",
        "",
        *head,
        *(gate.line() for gate in further(rows)),
        "",
        "## What the product makes of the same edits",
        "",
        "Steadied over time and composited with the mask: what an editor gets.",
        "",
        *_product(rows),
        "",
        "![source, plain decode, product, truth: first, middle and last frame of"
        " each](images/demo_edits_color.png)",
        "![background edits](images/demo_edits_background.png)",
        "![shape edits](images/demo_edits_shape.png)",
        "",
        "## Colour edits of everything else the world has",
        "",
        "Moving cameras, changing light, second and huge objects, three aspect ratios.",
        "",
        *_edits(rows["everything"]),
        "",
        "![edits of everything](images/demo_edits_everything.png)",
        "",
        "## Single edits",
        "",
        *(line for kind in ("color", "background", "shape") for line in [*_edits(rows[kind]), ""]),
        "## Samples and reconstructions",
        "",
        "First and last frame of each sampled clip; below, sources above their reconstructions.",
        "",
        "![samples](images/demo_samples.png)",
        "![reconstructions](images/demo_autoencoder.png)",
        "",
        *_wrong(rows["captions"]),
        "",
    ]
    return "\n".join(lines)


def _product(rows: dict[str, Any]) -> list[str]:
    names = {
        "colour_progress": "progress",
        "truth_psnr": "PSNR to truth, dB",
        "object_psnr": "PSNR of the object, dB",
        "trajectory_error_px": "trajectory, px",
        "iou_target": "IoU",
        "flicker": "flicker, levels",
    }
    lines = [f"| edits | {' | '.join(names.values())} |", "|---" * (len(names) + 1) + "|"]
    for kind in ("color", "background", "shape", "everything"):
        cells = []
        for name in names:
            figures = [row["product"][name] for row in rows[kind] if name in row["product"]]
            cells.append(f"{mean(figures):.2f}" if figures else "")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def _edits(rows: Rows) -> list[str]:
    """A table of single edits: plain decode / product."""
    names = ("colour_progress", "truth_psnr", "trajectory_error_px", "iou_target")
    lines = [
        "| seed | from | to | steps | colour progress | PSNR to truth | trajectory px | IoU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            f"{row['plain'][name]:.2f} / {row['product'][name]:.2f}" if name in row["plain"] else ""
            for name in names
        ]
        lines.append(
            f"| {row['seed']} | {row['source']} | {row['target']} | {row['steps']} | "
            f"{' | '.join(cells)} |"
        )
    return lines


def _wrong(captions: Rows) -> list[str]:
    """The captions whose clip is not what was asked for."""
    lines = ["| seed | caption | seen |", "|---|---|---|"]
    for row in captions:
        if not all(row["right"].values()):
            seen = ", ".join(str(value) for value in row["seen"].values())
            lines.append(f"| {row['seed']} | {row['caption']} | {seen} |")
    return lines
