# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loop asks of every guidance (torch, never bpy)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class WindowStep:
    """One window of a clip at one step of the optimisation.

    Attributes:
        z_source: Clean latents of the source, `(frames, channels, h, w)`.
        z_target: Clean latents of the target, same shape.
        mask: 1 = may change, `(frames, 1, h, w)`.
        noise: ε, the latents' shape.
        timestep: t.
    """

    z_source: Tensor
    z_target: Tensor
    mask: Tensor
    noise: Tensor
    timestep: int


class Guidance(ABC):
    """An algorithm that gives a gradient on the target latents."""

    needs_calibration = False
    """Whether `calibrate` has something to measure."""

    @abstractmethod
    def gradient(self, step: WindowStep, weights: tuple[float, ...]) -> Tensor:
        """The gradient, `(frames, channels, h, w)`.

        Args:
            step: Where and with what noise.
            weights: What `calibrate` returned at the start of the job.
        """

    def calibrate(self, steps: Iterable[WindowStep]) -> tuple[float, ...]:
        """Weights of the terms, measured once per job.

        Args:
            steps: Fixed probes, at latents that have begun to move.
        """
        del steps
        return ()
