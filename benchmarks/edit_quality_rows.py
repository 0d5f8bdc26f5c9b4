# SPDX-License-Identifier: GPL-3.0-or-later
"""What `edit_quality` compares: its edits, its rows, and the settings of each row.

Edits: every kind (colour, shape, background) in every scene of `SCENES`. The scenes other than the
first are there because on a small object before a still camera the temporal self-similarity hardly
changes: the spatial mean of the keys does not depend on where the object is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

from benchmarks.demo_edits import EditCase, case
from benchmarks.demo_settings import KIND_CHANGES
from benchmarks.edit_quality_store import weights_of
from demo.sampling import sample_spec
from demo.truth import Kind
from engine.job import EditSettings, Method, with_settings
from engine.presets import Preset, at_preset
from engine.registry import BackboneCard

KINDS: tuple[Kind, ...] = ("color", "shape", "background")
SCENES: dict[str, dict[str, Any]] = {
    "still": {},
    "pan": {"camera": "pan"},
    "zoom": {"camera": "zoom"},
    "huge": {"size": "huge"},
    "darker": {"light": "darker"},
    "flickering": {"light": "flickering"},
    "pan, huge": {"camera": "pan", "size": "huge"},
    "zoom, brighter": {"camera": "zoom", "light": "brighter"},
}
TABLE_SEEDS = range(30_000, 40_000)
"""Clips of the table; nothing is tuned on them."""
TUNING_SEEDS = range(40_000, 41_000)
"""Clips on which the settings below may be chosen."""
NOISE_SEEDS = (0, 1)
_TUNING_SCENES: dict[Kind, tuple[str, str]] = {
    "color": ("still", "pan, huge"),
    "shape": ("still", "pan"),
    "background": ("darker", "zoom"),
}


@dataclass(frozen=True)
class Place:
    """Where an edit of the table comes from."""

    kind: Kind
    scene: str
    seed: int

    def case(self) -> EditCase:
        """The edit itself; drawn until the measures know both the source and the exact answer."""
        sample = partial(sample_spec, **SCENES[self.scene])
        return case(self.kind, self.seed, sample=sample, found_before=True)


def table_edits() -> list[Place]:
    """The edits of the table, the kinds in turn so that the first few are of all kinds."""
    return [
        Place(kind, scene, TABLE_SEEDS.start + 1000 * number + index)
        for index, scene in enumerate(SCENES)
        for number, kind in enumerate(KINDS)
    ]


def tuning_edits() -> list[Place]:
    """Six edits, two of a kind."""
    return [
        Place(kind, _TUNING_SCENES[kind][index], TUNING_SEEDS.start + 100 * number + index)
        for index in range(2)
        for number, kind in enumerate(KINDS)
    ]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: Of its files.
        title: In the documents.
        method: A guidance, or one of the benchmark's own.
        masked: Whether the optimisation knows the editor's mask. The composite does in every row.
        changes: Settings that differ from `COMMON`.
        strength: Noise-and-denoise only: the noise it begins with, a share of the schedule.
        is_recommended: Whether a method's own numbers are what the card recommends for it, in place
            of the papers'.
        trial_of: Name of the row that this one varies.
    """

    name: str
    title: str
    method: Method | Literal["identity", "sdedit", "ddim_inversion"]
    masked: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    strength: float = 0.0
    is_recommended: bool = False
    trial_of: str = ""

    def settings(self, card: BackboneCard, kind: Kind) -> EditSettings:
        """The card's settings for `dds`, `COMMON` and the kind's, at `PRESET`; then the row's own.

        So every method has the step size of `dds`, not the one that the card gives the method.
        """
        of_kind = with_settings(card.recommended("dds"), **{**COMMON, **KIND_CHANGES[kind]})
        base = at_preset(of_kind, PRESET)
        if self.is_recommended:
            dreammotion = card.recommended("dreammotion").dreammotion
            base = with_settings(base, dreammotion=dreammotion, assd=card.recommended("assd").assd)
        return with_settings(base, **self.changes)

    def source_branch(self, card: BackboneCard, kind: Kind) -> str:
        """Alike for rows whose steps look at the source alike; empty for rows that do not look."""
        if self.method not in ("dds", "dreammotion", "assd"):
            return ""
        own = self.settings(card, kind)
        schedule = (own.timestep_schedule, own.timestep_min, own.timestep_max, own.steps)
        return f"{self.method} {own.guidance_scale} {schedule}"

    def identity(self, card: BackboneCard) -> dict[str, Any]:
        """What the row's figures depend on, apart from the edit: settings and weights."""
        return {
            "row": self.name,
            "method": self.method,
            "masked": self.masked,
            "strength": self.strength,
            "settings": {kind: asdict(self.settings(card, kind)) for kind in KINDS},
            "weights": weights_of(card),
        }


PRESET: Preset = "draft"
"""Half of the recommended steps, each twice as long as far as a step may go: so the table takes an
hour and not two. `make demo` takes it, too."""

COMMON: dict[str, Any] = {"use_stopping_rule": True}
"""Of all rows. Every distillation row stops where the model takes its edit for complete, or at the
last step (edits of the shape always there, see `KIND_CHANGES`): rows are compared at the same point
of the edit, not after the same work, because a term that holds the clip back would otherwise keep
more only by having edited less."""

_SAMPLING = {"guidance_scale": 4.0}
"""Of the rows that sample, as the demo backbone's gates do; a distillation calibrates its step."""

_SDS = {"guidance_scale": 5.0}
"""SDS has no source branch to subtract what is not of the prompt; it needs more guidance."""

_PLAIN = {"smoothing_centre": 1.0, "fused_layers": 0, "image_weight": 0.0}
"""ASSD without its parts: the delta denoising score with a mask, bit for bit."""

ROWS: tuple[Row, ...] = (
    Row("identity", "no edit", "identity"),
    Row("sdedit_40", "SDEdit, noise 0.4", "sdedit", changes=_SAMPLING, strength=0.4),
    Row("sdedit_60", "SDEdit, noise 0.6", "sdedit", changes=_SAMPLING, strength=0.6),
    Row("sdedit_80", "SDEdit, noise 0.8", "sdedit", changes=_SAMPLING, strength=0.8),
    Row("ddim_inversion", "DDIM inversion", "ddim_inversion", changes=_SAMPLING),
    Row("sds", "SDS", "sds", changes=_SDS),
    Row("dds", "DDS", "dds"),
    Row("dds_mask", "DDS + mask", "dds", masked=True),
    Row(
        "dreammotion_s",
        "DDS + mask + S-SSM",
        "dreammotion",
        masked=True,
        changes={"dreammotion": {"temporal_share": 0.0}},
    ),
    Row("dreammotion", "DreamMotion (mask, S-SSM, T-SSM)", "dreammotion", masked=True),
    Row(
        "dreammotion_here",
        "DreamMotion as this model recommends it",
        "dreammotion",
        masked=True,
        is_recommended=True,
    ),
    Row(
        "assd_sliding",
        "DDS + mask + sliding",
        "assd",
        masked=True,
        changes={"assd": {"fused_layers": 0, "image_weight": 0.0}},
    ),
    Row(
        "assd_residual",
        "DDS + mask + sliding of residuals",
        "assd",
        masked=True,
        changes={"assd": {"smoothing_of": "residual", "fused_layers": 0, "image_weight": 0.0}},
    ),
    Row(
        "assd_fusion",
        "DDS + mask + fusion",
        "assd",
        masked=True,
        changes={"assd": {"smoothing_centre": 1.0, "image_weight": 0.0}},
    ),
    Row(
        "assd_image",
        "DDS + mask + image guidance",
        "assd",
        masked=True,
        changes={"assd": _PLAIN | {"image_weight": 1.0}},
    ),
    Row(
        "assd",
        "ASSD (mask, all three parts)",
        "assd",
        masked=True,
        changes={"assd": {"image_weight": 1.0}},
    ),
)
REFERENCE = "dds_mask"
"""The row that others are compared with: ASSD without its parts, and DreamMotion without its."""


def _trial(of: Row, name: str, *, base: Row | None = None, **changes: Any) -> Row:
    """A row with other settings, set beside the row `base` (default: the one it varies)."""
    return replace(
        of,
        name=f"{of.name}_{name.replace(', ', '_').replace(' ', '_')}",
        title=f"{of.title}: {name}",
        changes={**of.changes, **changes},
        trial_of=(base or of).name,
    )


def _own(of: Row, *, base: Row | None = None, **own: object) -> Row:
    """A row with other numbers in its method's own settings."""
    name = ", ".join(f"{name} {value}" for name, value in own.items())
    changes = {of.method: {**of.changes.get(of.method, {}), **own}}
    return _trial(of, name, base=base, **changes)


_ROW = {row.name: row for row in ROWS}
_HALF = _own(_ROW["dreammotion_s"], spatial_share=0.5)
"""A spatial term that is strong enough for its scope, its layers and T-SSM to make a difference."""

TRIALS: tuple[Row, ...] = (
    _trial(_ROW["sdedit_60"], "ω 1.3", guidance_scale=1.3),
    _trial(_ROW["ddim_inversion"], "ω 1.3", guidance_scale=1.3),
    _trial(_ROW["sds"], "ω 1.5", guidance_scale=1.5),
    _trial(_ROW["sds"], "ω 10", guidance_scale=10.0),
    _trial(_ROW["dds_mask"], "ω 1.5", guidance_scale=1.5),
    _trial(_ROW["dds_mask"], "ω 5", guidance_scale=5.0),
    _trial(_ROW["dds_mask"], "all steps", use_stopping_rule=False),
    *(_own(_ROW["dreammotion_s"], spatial_share=share) for share in (0.25, 1.0)),
    _HALF,
    _own(_HALF, base=_HALF, mask_scope="all"),
    _own(_HALF, base=_HALF, mask_scope="all", key_sites="up_blocks.2"),
    *(_own(_HALF, base=_HALF, key_sites=site) for site in ("up_blocks.1", "up_blocks.2")),
    *(_own(_HALF, base=_HALF, temporal_share=share) for share in (0.1, 0.25, 0.5)),
    *(_own(_ROW["dreammotion_here"], spatial_share=share) for share in (0.25, 1.0)),
    *(_own(_ROW["assd_sliding"], smoothing_centre=centre) for centre in (0.33, 0.75)),
    *(_own(_ROW["assd_sliding"], threshold=threshold) for threshold in (0.25, 1.0)),
    _own(_ROW["assd_sliding"], reading="above"),
    _own(_ROW["assd"], smoothing_of="residual"),
    *(_own(_ROW["assd_fusion"], self_weight=weight) for weight in (0.6, 0.9)),
    *(_own(_ROW["assd_fusion"], fused_layers=count) for count in (1, 3)),
)
"""Other settings, run by `--tuning` only, beside the rows."""
