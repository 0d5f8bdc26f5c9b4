# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/edit_quality.md. What it says of a term is computed from the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.demo_settings import kinds_own
from benchmarks.edit_quality_rows import KINDS, REFERENCE, SCENES, Row
from benchmarks.edit_quality_summary import (
    CLAIMS,
    SURE,
    Part,
    Record,
    Records,
    Where,
    average,
    difference,
    everywhere,
    rival,
)

COLUMNS = {
    "reached": "reached, %",
    "progress": "progress",
    "kept_psnr": "kept, dB",
    "truth_psnr": "to truth, dB",
    "trajectory_error_px": "trajectory, px",
    "iou_kept": "IoU, shape kept",
    "iou_new": "IoU, new shape",
    "flicker": "flicker, levels",
    "saturation": "saturation, levels",
}
_RIVALS = ("sdedit_40", "sdedit_60", "sdedit_80")


def page(
    rows: Sequence[Row], records: Records, settings: Mapping[str, Any], facts: dict[str, Any]
) -> str:
    """The page docs/edit_quality.md.

    Args:
        rows: The table's lines.
        records: Their figures.
        settings: Of every row.
        facts: Of the machine.
    """
    lines = [
        "# The methods, measured",
        "",
        *_conditions(records[rows[0].name], facts),
        "",
        *DEFINITIONS,
        "",
        "## Plain decode",
        "",
        *table(rows, records, "plain"),
        "",
        "## The product's output",
        "",
        *table(rows, records, "product"),
        "",
        "## By kind of edit",
        "",
        *_kinds(rows, records),
        "",
        "Whiskers: one standard error over edits. Rows share their edits, so that differences",
        "between rows are surer than the whiskers; they are in the next table.",
        "",
        "![edit success against preservation](images/edit_quality.png)",
        "",
        *_differences(rows, records),
        *_claims(rows, records),
        *_scenes(rows, records),
        "## Settings",
        "",
        *_settings(rows, settings),
        "",
        "## Pictures",
        "",
        "Of each edit: source, plain decode, product, exact answer; first and last frame.",
        "",
        *(f"{row.title}:\n\n![{row.title}](images/edit_quality_{row.name}.png)\n" for row in rows),
    ]
    return "\n".join(lines)


def _conditions(any_row: Sequence[Record], facts: dict[str, Any]) -> list[str]:
    edits = len({record["seed"] for record in any_row})
    seeds = len({record["noise_seed"] for record in any_row})
    scenes = dict.fromkeys(record["scene"] for record in any_row)
    return [
        "Written by `.venv/bin/python -m benchmarks.edit_quality`"
        f" (torch {facts['torch']}; {facts['machine']}; {facts['minutes']} process minutes)",
        f"on the backbone `{facts['backbone']}`.",
        f"{edits} edits of colour, shape and background × {seeds} noise seeds of {facts['clips']}"
        f" clips, 8 frames at 64 × 64; scenes: {'; '.join(scenes)}.",
        "Every edit has an exact answer. Neither training nor any choice of settings has seen the",
        "table's clips; the tuning clips are others. Means over edits; of the autoencoder's plain",
        "decode, so that nothing is hidden by the composite, and of the product's output: steadied",
        "over time and composited with the editor's mask, in every row.",
    ]


DEFINITIONS = (
    "- **reached**: share of edits whose clip is nearer to the exact answer than to what any other",
    "  colour, shape or background would look like; **progress**: 0 none, 1 as in the exact answer",
    "- **kept**: PSNR of what should not change against what the edit started from: the picture",
    "  4 px and more away from the object, or, in edits of the background, the object's inside;",
    "  96 dB is equality",
    "- **to truth**: PSNR against the exact answer, whole picture",
    "- **trajectory**: distance of the object's centre from its true path; a frame without the",
    "  object counts as 32 px. The centre of another shape is another one, so a shape edit that is",
    "  not complete has an error too",
    "- **IoU**: of the object found with the true one: the source's own in edits of colour and",
    "  background, the new one in edits of the shape",
    "- **flicker**: change of the error from frame to frame where the edit belongs, against the",
    "  exact answer's motion and in units of its light; an incomplete or constant wrong colour",
    "  does not flicker",
    "- **saturation**: above the exact answer's",
    "- **steps**, **seconds** of one processor: until the stopping rule, two such processes at a",
    "  time. Rows that look at the source alike share that work here; each is given the whole time",
    "  of it",
)


def table(rows: Sequence[Row], records: Records, part: Part) -> list[str]:
    """Means of every figure, a line a row."""
    heads = [*COLUMNS.values(), "steps", "seconds"]
    lines = [f"| row | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        found = records[row.name]
        cells = []
        for figure in COLUMNS:
            value = average(found, part, figure).value
            cells.append(f"{100 * value:.0f}" if figure == "reached" else f"{value:.2f}")
        cells += [f"{mean(r[name] for r in found):.1f}" for name in ("steps", "seconds")]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return lines


def _kinds(rows: Sequence[Row], records: Records) -> list[str]:
    """Success and closeness to the truth for each kind of edit."""
    kinds = [kind for kind in KINDS if any(r["kind"] == kind for r in records[rows[0].name])]
    heads = [f"{kind}: {what}" for kind in kinds for what in ("reached, %", "to truth, dB")]
    lines = [f"| row (plain decode) | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        cells = []
        for kind in kinds:
            where = _with("kind", kind)
            reached = average(records[row.name], "plain", "reached", where).value
            truth = average(records[row.name], "plain", "truth_psnr", where).value
            cells += [f"{100 * reached:.0f}", f"{truth:.2f}"]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return lines


def _with(field: str, value: str) -> Where:
    return lambda record: record[field] == value


def _differences(rows: Sequence[Row], records: Records) -> list[str]:
    """Every row against the reference, paired."""
    if REFERENCE not in records:
        return []
    reference = next(row.title for row in rows if row.name == REFERENCE)
    lines = [
        f"## Differences to {reference}",
        "",
        "Plain decode. Mean of the paired differences over edits ± standard error; less than"
        f" {SURE:g} standard errors",
        "is noise.",
        "",
        f"| row | {' | '.join(COLUMNS.values())} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for row in rows:
        if row.name != REFERENCE:
            lines.append(difference_line(row.title, records, row.name, REFERENCE))
    return [*lines, ""]


def difference_line(
    title: str, records: Records, row: str, base: str, where: Where = everywhere
) -> str:
    """Paired differences of every figure of the plain decode, one line."""
    cells = []
    for figure in COLUMNS:
        found = difference(records, row, base, "plain", figure, where)
        cells.append(found.text(100 if figure == "reached" else 1))
    return f"| {title} | {' | '.join(cells)} |"


def _claims(rows: Sequence[Row], records: Records) -> list[str]:
    """What the papers let expect, beside what is seen."""
    titles = {row.name: row.title for row in rows}
    lines = [
        "## What each term does, and what its paper lets expect",
        "",
        "| expectation | with | without | figure | difference | here |",
        "|---|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        if claim.row in titles and claim.base in titles:
            found = difference(records, claim.row, claim.base, "plain", claim.figure)
            lines.append(
                f"| {claim.words} | {titles[claim.row]} | {titles[claim.base]} "
                f"| {COLUMNS[claim.figure]} | {found.text()} | {claim.verdict(found)} |"
            )
    return [*lines, "", *_against_sdedit(titles, records)]


def _against_sdedit(titles: dict[str, str], records: Records) -> list[str]:
    """Distillation against noise-and-denoise at about the same success."""
    rivals = [name for name in _RIVALS if name in records]
    rows = [name for name in titles if name not in (*_RIVALS, "identity", "ddim_inversion")]
    if not rivals or not rows:
        return []
    lines = [
        "Distillation should preserve better than SDEdit at the same success. Each row against the",
        "SDEdit row that reaches the target about as often:",
        "",
        "| row | SDEdit row | reached, % | kept, dB | to truth, dB | keeps more |",
        "|---|---|---|---|---|---|",
    ]
    for name in rows:
        other = rival(records, name, rivals)
        pairs = [
            difference(records, name, other, "plain", figure)
            for figure in ("reached", "kept_psnr", "truth_psnr")
        ]
        verdict = {1: "shows", 0: "not told from noise", -1: "**the opposite**"}[pairs[1].sign]
        verdict += {1: ", and reaches more", 0: "", -1: ", but reaches less"}[pairs[0].sign]
        lines.append(
            f"| {titles[name]} | {titles[other]} | {pairs[0].text(100)} | {pairs[1].text()} "
            f"| {pairs[2].text()} | {verdict} |"
        )
    return [*lines, ""]


def _scenes(rows: Sequence[Row], records: Records) -> list[str]:
    """What T-SSM adds, by scene and by kind of edit."""
    if not {"dreammotion", "dreammotion_s"} <= set(records):
        return []
    lines = [
        "## T-SSM by scene",
        "",
        "With it minus without it, plain decode.",
        "",
        f"| scene or edit | {' | '.join(COLUMNS.values())} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    present = records["dreammotion"]
    groups = [("scene", name) for name in SCENES] + [("kind", name) for name in KINDS]
    for field, name in groups:
        if any(record[field] == name for record in present):
            where = _with(field, name)
            lines.append(difference_line(name, records, "dreammotion", "dreammotion_s", where))
    return [*lines, ""]


def _settings(rows: Sequence[Row], settings: Mapping[str, Any]) -> list[str]:
    """What the rows share, and what is a row's own."""
    every = [_flat(settings[row.name]) for row in rows]
    shared = {k: v for k, v in every[0].items() if all(found[k] == v for found in every)}
    lines = [
        "Every distillation row has the same number of steps, at most, and the same step size,",
        "calibrated by its own first gradients; all stop by the same rule, where the model takes",
        "the edit for complete, so that a term cannot keep more merely by editing less (edits of",
        "the shape, which that rule ends too early, all take every step). The rows",
        "that sample take as many steps; inversion as many again. In all rows, unless the kind of",
        f"the edit or the row has its own ({kinds_own()}):",
        "",
        ", ".join(f"{name} {value}" for name, value in shared.items() if value != "") + ".",
        "",
        "| row | method | mask | its own settings |",
        "|---|---|---|---|",
    ]
    for row, found in zip(rows, every, strict=True):
        own = {k: v for k, v in found.items() if k not in shared and _belongs(k, row)}
        if row.strength:
            own["noise"] = row.strength
        cells = ", ".join(f"{name} {value}" for name, value in own.items())
        lines.append(f"| {row.title} | {row.method} | {'yes' if row.masked else ''} | {cells} |")
    return lines


def _belongs(name: str, row: Row) -> bool:
    """Whether a setting means anything in a row: another method's do not."""
    owner, dot, _ = name.rpartition(".")
    return not dot or owner == row.method


def _flat(settings: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {owner + name: value}
    return found
