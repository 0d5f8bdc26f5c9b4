# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): numbers that belong to one guidance alone.

Defaults are the papers' where they give a value. Where they give none, the field says what was
tried on six tuning edits of the demo backbone (docs/edit_quality_tuning.md): another value replaced
a default where it was better by more than two standard errors in one measure and not worse in
another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .schema import check_limits, setting


@dataclass(frozen=True, kw_only=True)
class DreamMotionSettings:
    """DreamMotion's similarity terms (engine/guidance/dreammotion.py)."""

    mask_scope: Literal["dds", "all"] = setting(
        "dds", doc="what the mask limits: the edit's term alone (paper), or all terms"
    )
    key_sites: str = setting(
        "up_blocks",
        doc="self-attention layers whose keys are compared: beginnings of names, with commas "
        "(of the demo model's, the finest alone, up_blocks.2, kept more of the clip than all)",
    )
    checkpointing: bool = setting(
        False, doc="keep less for the backward pass and compute more; changes no pixel"
    )
    similarity_rule: Literal["calibrated", "fixed"] = setting(
        "calibrated", doc="weights of the terms: from shares of the edit's gradient, or as given"
    )
    spatial_share: float = setting(
        0.1,
        doc="calibrated rule: spatial term, as a share of the edit's gradient (0.1 kept more "
        "of the clip than 0.25, 0.5 and 1, and less than 0 with mask_scope dds)",
        minimum=0,
        maximum=100,
        has_effect=lambda own: own.similarity_rule == "calibrated",
    )
    temporal_share: float = setting(
        0.1,
        doc="calibrated rule: temporal term, as a share of the edit's gradient (0.1 came "
        "nearer to the exact answer than 0.25 and 0.5)",
        minimum=0,
        maximum=100,
        has_effect=lambda own: own.similarity_rule == "calibrated",
    )
    spatial_weight: float = setting(
        1.0,
        doc="fixed rule: λ_s, of the mean squared difference of similarities",
        minimum=0,
        has_effect=lambda own: own.similarity_rule == "fixed",
    )
    temporal_weight: float = setting(
        1.0,
        doc="fixed rule: λ_t, of the mean squared difference of similarities",
        minimum=0,
        has_effect=lambda own: own.similarity_rule == "fixed",
    )

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True, kw_only=True)
class AssdSettings:
    """ASSD's parts (engine/guidance/assd.py); the paper gives `image_weight`, no other value."""

    smoothing_centre: float = setting(
        0.5,
        doc="γ of the frame itself, its neighbours share the rest; 1 smooths nothing (0.33 "
        "flickers more than 0.5; 0.75: no sure difference)",
        minimum=0.01,
        maximum=1,
    )
    threshold: float = setting(
        0.5,
        doc="τ, in standard deviations of the difference of the branches (0.25, 0.5 and 1: no sure "
        "difference)",
        minimum=0,
        maximum=100,
        has_effect=lambda own: own.smoothing_centre < 1,
    )
    reading: Literal["below", "above"] = setting(
        "below",
        doc="what is smoothed: frames below the threshold (as printed), or above it, which "
        "flickers less and edits less",
        has_effect=lambda own: own.smoothing_centre < 1,
    )
    smoothing_of: Literal["prediction", "residual"] = setting(
        "prediction",
        doc="what is mixed with neighbouring frames: the predicted noise (paper), or what it has "
        "beyond the frame's own noise, which differs from frame to frame here (less flicker, not "
        "surer than chance on six edits)",
        has_effect=lambda own: own.smoothing_centre < 1,
    )
    self_weight: float = setting(
        0.8,
        doc="λ, share of the attention to oneself in the fused layers; 1 fuses nothing (0.6, 0.8 "
        "and 0.9: no sure difference)",
        minimum=0,
        maximum=1,
        has_effect=lambda own: own.fused_layers > 0,
    )
    fused_layers: int = setting(
        2,
        doc="how many of the decoder's last self-attention layers are fused (1, 2 and 3: no sure "
        "difference)",
        minimum=0,
    )
    image_weight: float = setting(
        1.0, doc="weight of the image model's gradient (paper: 1); 0 for none", minimum=0
    )
    image_backbone: str = setting(
        "",
        doc="id or folder of the image model; empty: the backbone's own image mode",
        has_effect=lambda own: own.image_weight > 0,
    )

    def __post_init__(self) -> None:
        check_limits(self)
