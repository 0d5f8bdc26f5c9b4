# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished edits of a row, a JSON line each, so that a long measurement can go on. Stdlib only.

The first line says what the row's figures depend on; lines of other settings or weights are never
mixed in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.edit_quality_summary import Record
from engine.registry import BackboneCard


def weights_of(card: BackboneCard) -> dict[str, str] | str:
    """What identifies a model's weights: checksums by file; of a folder without any, its path."""
    return {file.path: file.sha256 for file in card.files} or str(card.folder)


def check_identity(path: Path, kept: Any, wanted: dict[str, Any]) -> None:
    """Make sure that what is kept are figures of the same settings and weights.

    Raises:
        ValueError: they are of something else.
    """
    if kept != json.loads(json.dumps(wanted)):
        raise ValueError(
            f"{path} has figures of other settings or weights. "
            "Delete it or move it away to measure anew."
        )


class RowFile:
    """A row's lines.

    Args:
        path: The file; made when it is missing.
        identity: What the figures depend on.

    Raises:
        ValueError: the file holds figures of something else.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self._path = path
        self.records: dict[tuple[int, int], Record] = {}
        """By seed of the edit and noise seed."""
        if not path.exists():
            path.write_text(json.dumps(identity) + "\n", encoding="utf-8")
            return
        whole = path.read_bytes()
        # A killed process may leave half a line behind.
        complete = whole[: whole.rfind(b"\n") + 1]
        if len(complete) < len(whole):
            os.truncate(path, len(complete))
        lines = [json.loads(line) for line in complete.decode("utf-8").splitlines()]
        check_identity(path, lines[0] if lines else None, identity)
        for record in lines[1:]:
            self._keep(record)

    def has(self, seed: int, noise_seed: int) -> bool:
        """Whether this edit is done."""
        return (seed, noise_seed) in self.records

    def append(self, record: Record) -> None:
        """Keep a finished edit, in the file too."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._keep(record)

    def _keep(self, record: Record) -> None:
        self.records[record["seed"], record["noise_seed"]] = record
