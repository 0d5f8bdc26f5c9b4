# SPDX-License-Identifier: GPL-3.0-or-later
"""Means, paired differences and verdicts from the lines of `edit_quality`. Stdlib only.

The unit of the statistics is an edit: its noise seeds are averaged first. Differences are paired,
edit by edit, because edits differ much more than rows do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan, sqrt
from statistics import mean, stdev
from typing import Any, Literal

Record = dict[str, Any]
Records = dict[str, list[Record]]
"""Lines by row."""
Part = Literal["plain", "product"]
Where = Callable[[Record], bool]

SURE = 2.0
"""A difference is told from noise when it is more than this many standard errors from zero."""


@dataclass(frozen=True)
class Estimate:
    """A mean over edits with its standard error; None for a single edit.

    Not a number: the figure does not exist for any of the edits.
    """

    value: float
    error: float | None

    def text(self, scale: float = 1) -> str:
        """Value ± standard error, times `scale`."""
        if isnan(self.value):
            return "–"
        spread = "" if self.error is None else f" ± {scale * self.error:.2f}"
        return f"{scale * self.value:+.2f}{spread}"

    @property
    def sign(self) -> int:
        """+1 or -1 where the mean is told from noise, else 0."""
        if self.error is None or abs(self.value) <= SURE * self.error:
            return 0
        return 1 if self.value > 0 else -1


def everywhere(record: Record) -> bool:
    """Every edit."""
    del record
    return True


def of_edits(
    records: Sequence[Record], part: Part, figure: str, where: Where = everywhere
) -> dict[int, float]:
    """A figure by the seed of the edit, mean over its noise seeds."""
    values: dict[int, list[float]] = {}
    for record in records:
        if where(record) and record[part][figure] is not None:
            values.setdefault(record["seed"], []).append(record[part][figure])
    return {seed: mean(found) for seed, found in values.items()}


def average(
    records: Sequence[Record], part: Part, figure: str, where: Where = everywhere
) -> Estimate:
    """Mean over edits."""
    return _estimate(list(of_edits(records, part, figure, where).values()))


def difference(
    records: Records, row: str, base: str, part: Part, figure: str, where: Where = everywhere
) -> Estimate:
    """Mean over edits of `row` minus `base`."""
    one = of_edits(records[row], part, figure, where)
    other = of_edits(records[base], part, figure, where)
    return _estimate([one[seed] - other[seed] for seed in one])


def _estimate(values: list[float]) -> Estimate:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else None
    return Estimate(mean(values) if values else nan, error)


@dataclass(frozen=True)
class Claim:
    """What a paper lets expect of a figure when `base` becomes `row`.

    Attributes:
        row: With the term.
        base: Without it.
        figure: Of the plain decode.
        sign: +1: the figure should rise; -1: it should fall.
        words: The expectation.
    """

    row: str
    base: str
    figure: str
    sign: int
    words: str

    def verdict(self, found: Estimate) -> str:
        """Whether it shows in a paired difference."""
        if found.error is None:
            return "one edit only"
        if found.sign == 0:
            return "not told from noise"
        return "shows" if found.sign == self.sign else "**the opposite**"


CLAIMS: tuple[Claim, ...] = (
    Claim("sds", "dds", "kept_psnr", -1, "SDS destroys what the prompt does not mention"),
    Claim("sds", "dds", "saturation", +1, "SDS over-saturates"),
    Claim("dds_mask", "dds", "kept_psnr", +1, "the mask raises preservation"),
    Claim("dds_mask", "dds", "trajectory_error_px", -1, "the mask raises motion fidelity"),
    Claim("dreammotion_s", "dds_mask", "kept_psnr", +1, "S-SSM raises preservation"),
    Claim("dreammotion_s", "dds_mask", "iou_kept", +1, "S-SSM keeps structure"),
    Claim("dreammotion_s", "dds_mask", "trajectory_error_px", -1, "S-SSM raises motion fidelity"),
    Claim(
        "dreammotion", "dreammotion_s", "trajectory_error_px", -1, "T-SSM raises motion fidelity"
    ),
    Claim("dreammotion", "dreammotion_s", "flicker", -1, "T-SSM makes frames consistent"),
    Claim("assd_sliding", "dds_mask", "flicker", -1, "sliding smoothing makes frames consistent"),
    Claim("assd_residual", "dds_mask", "flicker", -1, "so does sliding of residuals (ours)"),
    Claim("assd_residual", "assd_sliding", "flicker", -1, "and better than of predictions (ours)"),
    Claim("assd_fusion", "dds_mask", "iou_kept", +1, "attention fusion keeps structure"),
    Claim("assd_fusion", "dds_mask", "kept_psnr", +1, "attention fusion raises preservation"),
    Claim("assd_image", "dds_mask", "reached", +1, "image guidance strengthens the edit"),
    Claim("assd", "dds_mask", "truth_psnr", +1, "ASSD's parts together raise quality"),
)
"""Of the plain decode. From DreamFusion and DDS (SDS, mask), DreamMotion, ASSD; some are ours."""


def rival(records: Records, row: str, rivals: Sequence[str]) -> str:
    """Which of the `rivals` reaches the target attribute about as often as `row` does."""
    goal = average(records[row], "plain", "reached").value
    return min(
        rivals, key=lambda name: abs(average(records[name], "plain", "reached").value - goal)
    )
