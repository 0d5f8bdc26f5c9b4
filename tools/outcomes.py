# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: what became of a suite of tests, kept in build/tests/, and the closing table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from tools.development import ROOT

RECORDS = ROOT / "build" / "tests"


@dataclass(frozen=True)
class Outcome:
    """What became of one suite.

    Attributes:
        name: As in the closing table.
        status: `not run` when this machine lacks something.
        passed: Number of tests, as the two after it.
        failed: Errors count as failures.
        skipped: A suite that was not run counts as one.
        seconds: Wall clock.
        reason: Why it failed as a whole, or was not run.
        files: Fingerprint of the tree it ran on.
    """

    name: str
    status: Literal["passed", "failed", "not run"]
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    reason: str = ""
    files: str = ""

    def record(self) -> None:
        """Keep it for `test-all` and `total`."""
        RECORDS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (RECORDS / f"{self.name.replace(' ', '-')}.json").write_text(text, encoding="utf-8")


def not_run(name: str, reason: str) -> Outcome:
    """A suite this machine cannot run."""
    print(f"{name}: not run: {reason}", flush=True)
    return Outcome(name, "not run", skipped=1, reason=reason)


def recorded() -> list[Outcome]:
    """Everything in build/tests, oldest first."""
    files = sorted(RECORDS.glob("*.json"), key=lambda file: file.stat().st_mtime)
    return [Outcome(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def print_table(outcomes: list[Outcome]) -> bool:
    """The closing table and the total; returns whether nothing failed."""
    print(f"\n{'suite':<18} {'result':<8} {'passed':>6} {'failed':>6} {'skipped':>7} {'time':>7}")
    for outcome in outcomes:
        print(
            f"{outcome.name:<18} {outcome.status:<8} {outcome.passed:>6} {outcome.failed:>6} "
            f"{outcome.skipped:>7} {outcome.seconds:>5.0f} s  {outcome.reason}".rstrip()
        )
    passed, failed, skipped = (
        sum(getattr(outcome, name) for outcome in outcomes)
        for name in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return failed == 0 and passed > 0
