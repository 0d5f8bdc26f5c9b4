# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/edit_quality_tuning.md: on what the settings that papers leave open were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.edit_quality_page import COLUMNS, DEFINITIONS, difference_line, table
from benchmarks.edit_quality_rows import Row
from benchmarks.edit_quality_summary import SURE, Records
from engine.job import EditSettings

_VARIED = (
    *("mask_scope", "key_sites", "spatial_share", "temporal_share"),
    *("smoothing_centre", "threshold", "reading", "smoothing_of", "self_weight", "fused_layers"),
)


def tuning_page(rows: Sequence[Row], records: Records, facts: dict[str, Any]) -> str:
    """The page.

    Args:
        rows: Lines of the table and trials of other settings; a trial names its base.
        records: Their figures on the tuning edits.
        facts: Of the machine.
    """
    titles = {row.name: row.title for row in rows}
    found = records[rows[0].name]
    edits = len({record["seed"] for record in found})
    seeds = len({record["noise_seed"] for record in found})
    return "\n".join(
        (
            "# The numbers that the papers leave open",
            "",
            "Written by `.venv/bin/python -m benchmarks.edit_quality --tuning FOLDER --seeds"
            f" {seeds}`",
            f"(torch {facts['torch']}; {facts['machine']}; {facts['minutes']} process minutes) on",
            f"the backbone `{facts['backbone']}`: {edits} edits × {seeds} noise seeds of clips",
            "that neither the training nor the table of `benchmarks.edit_quality` has. Plain",
            "decode.",
            "",
            *DEFINITIONS,
            "",
            "With so few edits only large differences are surer than chance: a trial below",
            f"replaces a default only where it is better by more than {SURE:g} standard errors in",
            "one column and not worse by as much in another.",
            "",
            f"The rows' own numbers, when this was measured: {facts['own']}.",
            "",
            "## Trials against the row they vary",
            "",
            f"| trial | {' | '.join(COLUMNS.values())} |",
            "|---" * (len(COLUMNS) + 1) + "|",
            *(
                difference_line(row.title, records, row.name, row.trial_of)
                for row in rows
                if row.trial_of in titles
            ),
            "",
            "## All rows",
            "",
            *table(rows, records, "plain"),
            "",
        )
    )


def own_numbers(settings: EditSettings) -> str:
    """The numbers of the methods that trials vary, as words."""
    named = {"ω": settings.guidance_scale} | asdict(settings.dreammotion) | asdict(settings.assd)
    return ", ".join(f"{name} {named[name]}" for name in ("ω", *_VARIED))
