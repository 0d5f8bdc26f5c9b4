# SPDX-License-Identifier: GPL-3.0-or-later
"""What an optimisation works on, and all that it needs to go on (torch, never bpy)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """A clip in latent space.

    Attributes:
        z_source: Latents of the source, `(frames, channels, h, w)`, float32.
        mask: 1 = may change, `(frames, 1, h, w)`.
        media_frames: Index of each frame in its medium (keys the noise).
    """

    z_source: Tensor
    mask: Tensor
    media_frames: tuple[int, ...]


@dataclass(frozen=True)
class EditState:
    """Everything an interrupted optimisation needs to go on as if nothing had happened.

    Attributes:
        z_target: Latents of the target, `(frames, channels, h, w)`, float32.
        z_average: Their running mean, same shape: the result.
        step: Steps done.
        effective_step: η, the coefficient on the gradient.
        term_weights: What the guidance measured at the start; see `Guidance.calibrate`.
        start_preference: The model's preference for the target prompt at the source.
        progress: Last measured progress of the edit: 0 at the source, 1 when the model prefers the
            target as much as it preferred the source.
        is_finished: Whether the stopping rule or the last step was reached.
        gradient_norms: ‖∇L‖₂ of every step.
        update_norms: ‖Δz‖₂ of every step.
        first_moment: Adam's running mean of the gradient, shape of the latents; else empty.
        second_moment: Adam's running mean of its square; else empty.
    """

    z_target: Tensor
    z_average: Tensor
    step: int = 0
    effective_step: float = 0.0
    start_preference: float = 0.0
    progress: float = 0.0
    is_finished: bool = False
    gradient_norms: tuple[float, ...] = field(default=())
    update_norms: tuple[float, ...] = field(default=())
    term_weights: tuple[float, ...] = field(default=())
    first_moment: Tensor = field(default_factory=lambda: torch.zeros(0))
    second_moment: Tensor = field(default_factory=lambda: torch.zeros(0))
