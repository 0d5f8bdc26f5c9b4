# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta Denoising Score (torch, never bpy).

Hertz, Aberman & Cohen-Or, "Delta Denoising Score", ICCV 2023 (arXiv 2304.07090), Eq. 3:

    ∇L_DDS = ε_φ^ω(z_t, y, t) − ε_φ^ω(ẑ_t, ŷ, t)

with z the target latents and y the target prompt, ẑ and ŷ the source's, the same noise ε and
timestep t in both branches, and classifier-free guidance of weight ω in both. The U-Net's Jacobian
is dropped, as in score distillation, so no backward pass is needed. DreamMotion (arXiv 2403.12002)
uses the same on video and multiplies it with a binary mask m per frame.
"""

from __future__ import annotations

from torch import Tensor

from .base import Guidance, Reference, WindowStep

GUIDED = "guided"
"""Name of ε_φ^ω(ẑ_t, ŷ, t) in a reference."""


class DeltaDenoising(Guidance):
    """`dds`.

    Both branches are separate calls of one shape, so equal branches give exactly equal numbers and
    a gradient of exactly zero (one batch of four would differ in its last bits between its slots on
    some thread counts).
    """

    def gradient(
        self, step: WindowStep, weights: tuple[float, ...] = (), reference: Reference | None = None
    ) -> Tensor:
        """See `Guidance.gradient`."""
        return self.score(step, reference or self.reference(step, weights)) * step.mask

    def reference(
        self, step: WindowStep, weights: tuple[float, ...] = (), known: Reference | None = None
    ) -> Reference:
        """ε_φ^ω(ẑ_t, ŷ, t); see `Guidance.reference`."""
        del weights
        if known and GUIDED in known:
            return known
        return {GUIDED: self._guided_noise_pred(step.z_source, self._source_embeddings, step)}

    def score(self, step: WindowStep, reference: Reference) -> Tensor:
        """∇L_DDS without the mask, `(frames, channels, h, w)`."""
        target = self._guided_noise_pred(step.z_target, self._target_embeddings, step)
        return target - reference[GUIDED]
