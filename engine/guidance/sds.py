# SPDX-License-Identifier: GPL-3.0-or-later
"""Score Distillation Sampling (torch, never bpy).

Poole et al., "DreamFusion", ICLR 2023 (arXiv 2209.14988), Eq. 3, with weight w(t) = 1 and the
U-Net's Jacobian dropped as there:

    ∇L_SDS = ε_φ^ω(z_t, y, t) − ε

It has no source branch: whatever the model finds unlikely is pulled towards the likely, which
over-saturates and washes out what the prompt does not mention. It is here to be compared with.
"""

from __future__ import annotations

from torch import Tensor

from .base import Guidance, Reference, WindowStep


class ScoreDistillation(Guidance):
    """`sds`, masked as the other methods."""

    def gradient(
        self, step: WindowStep, weights: tuple[float, ...] = (), reference: Reference | None = None
    ) -> Tensor:
        """See `Guidance.gradient`."""
        del weights, reference
        prediction = self._guided_noise_pred(step.z_target, self._target_embeddings, step)
        return (prediction - step.noise) * step.mask
