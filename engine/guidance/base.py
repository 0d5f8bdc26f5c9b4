# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loop asks of every guidance (torch, never bpy)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..backbones.base import Backbone, Fusion, Recording
from ..job import EditSettings

Reference = Mapping[str, Tensor]
"""What a step takes from the source branch, by name. The target and its prompt have no part in it,
so another edit of the same clip can use it again."""


@dataclass(frozen=True)
class WindowStep:
    """One window of a clip at one step of the optimisation.

    Attributes:
        z_source: Clean latents of the source, `(frames, channels, h, w)`.
        z_target: Clean latents of the target, same shape.
        mask: m, 1 = may change, `(frames, 1, h, w)`.
        noise: ε, of all branches, the latents' shape.
        timestep: t, likewise.
    """

    z_source: Tensor
    z_target: Tensor
    mask: Tensor
    noise: Tensor
    timestep: int


class Guidance(ABC):
    """An algorithm that gives a gradient on the target latents.

    Args:
        backbone: The frozen model.
        prompts: Source prompt and target prompt.
        settings: Numbers of the loop and of the method.
    """

    needs_calibration = False
    """Whether `calibrate` has something to measure."""

    def __init__(
        self, backbone: Backbone, prompts: tuple[str, str], settings: EditSettings
    ) -> None:
        self._backbone = backbone
        self._scale = settings.guidance_scale
        source, target, empty = backbone.embed([*prompts, ""])
        self._source_embeddings = torch.stack([source, empty])
        self._target_embeddings = torch.stack([target, empty])

    @abstractmethod
    def gradient(
        self, step: WindowStep, weights: tuple[float, ...] = (), reference: Reference | None = None
    ) -> Tensor:
        """The gradient, `(frames, channels, h, w)`.

        Args:
            step: Where and with what noise.
            weights: What `calibrate` returned at the start of the job.
            reference: What `reference` returned for this step; none: it is made here.
        """

    def reference(
        self, step: WindowStep, weights: tuple[float, ...] = (), known: Reference | None = None
    ) -> Reference:
        """The source branch's part of `gradient`; empty for a guidance without one.

        Args:
            step: As of `gradient`.
            weights: As of `gradient`.
            known: What an earlier edit left of it, possibly less than everything.
        """
        del step, weights, known
        return {}

    def calibrate(self, steps: Iterable[WindowStep]) -> tuple[float, ...]:
        """Weights of the terms, measured once per job.

        Args:
            steps: Fixed probes, at latents that have begun to move.
        """
        del steps
        return ()

    @torch.no_grad()
    def _guided_noise_pred(
        self,
        latents: Tensor,
        embeddings: Tensor,
        step: WindowStep,
        *,
        record: Recording | None = None,
        fuse: Fusion | None = None,
    ) -> Tensor:
        """ε^ω = ε_∅ + ω (ε_y − ε_∅): classifier-free guidance (Ho & Salimans 2022, Eq. 6).

        At ω = 1 the empty prompt's prediction drops out of the equation, so it is not made.

        Args:
            latents: Clean latents of a branch, `(frames, channels, h, w)`.
            embeddings: Of its prompt and of the empty prompt, `(2, tokens, features)`.
            step: Its noise and timestep.
            record: See `Backbone.noise_pred`.
            fuse: Likewise.

        Returns:
            `(frames, channels, h, w)`.
        """
        z_t = self._backbone.add_noise(latents, step.noise, step.timestep)
        if self._scale == 1:
            return self._backbone.noise_pred(
                z_t[None], step.timestep, embeddings[:1], record=record, fuse=fuse
            )[0]
        prompt, empty = self._backbone.noise_pred(
            torch.stack([z_t, z_t]), step.timestep, embeddings, record=record, fuse=fuse
        )
        return empty + self._scale * (prompt - empty)
