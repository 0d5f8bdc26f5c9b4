# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive Sliding Score Distillation (torch, never bpy).

Zhu et al., "Zero-Shot Video Editing through Adaptive Sliding Score Distillation" (arXiv 2406.04888,
version 1). With ε and ε̂ the guided predictions of target and source branch:

    SS(ε̂)^i = γ₋ ε̂^{i−1} + γ₀ ε̂^i + γ₊ ε̂^{i+1}                                     (Eq. 8)
    m = 1 where |ε − ε̂| < max over frames |ε − ε̂| − τ, else 0                        (Eq. 9)
    ∇L_ASSD = m ⊙ (ε − SS(ε̂)) + (1 − m) ⊙ (ε − ε̂)                                   (Eq. 10)
    ∇L = ∇L_ASSD + Σ_i (ε_Ω(z_t^i, y) − ε_Ω(ẑ_t^i, ŷ))                              (Eq. 14, 15)

Ω is an image model that looks at each frame for itself. In the target branch the last spatial
self-attention layers also attend to the source branch's keys and values (Eq. 11 to 13,
backbones/attention.py).

Left open by the paper, decided here: γ at a window's ends is renormalised; τ is a share of the
standard deviation of |ε − ε̂| over the window, in and outside the mask, because its scale depends on
ω and t; the maximum is taken per channel and place; prompt attends to prompt and empty to empty
prompt; the image model has the same noise and timestep, and no fusion. Eq. 9 as printed (`below`)
smooths frames that lag behind the strongest change at a place, and leaves quiet places alone; the
text's own description fits the opposite sign (`above`), which is the other reading.

Eq. 8 supposes that frames differ in their pictures alone. Here each has its own noise ε_0, so that
ε̂^i − SS(ε̂)^i is mostly noise, which the update then draws. `smoothing_of` residual mixes ε̂ − ε_0
instead; with one noise for all frames both are the same.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..backbones.base import Backbone, Fusion, Recording
from ..errors import InvalidJobError
from ..job import EditSettings
from .base import Guidance, Reference, WindowStep
from .dds import GUIDED, DeltaDenoising

Reading = Literal["below", "above"]

KEYS, VALUES, IMAGE = "keys.", "values.", "image."
"""Beginnings of names in a reference: the fused sites' keys and values, the image model's part."""


class AdaptiveSliding(Guidance):
    """`assd`.

    Args:
        backbone: The frozen text-to-video model.
        prompts: Source prompt and target prompt.
        settings: Numbers of the method.
        image_backbone: The image model of the joint guidance; none: without.

    Raises:
        InvalidJobError: a setting does not fit the backbone.
    """

    def __init__(
        self,
        backbone: Backbone,
        prompts: tuple[str, str],
        settings: EditSettings,
        image_backbone: Backbone | None = None,
    ) -> None:
        super().__init__(backbone, prompts, settings)
        self._own = settings.assd
        count = self._own.fused_layers
        if count > len(backbone.sites):
            raise InvalidJobError(
                f"fused_layers is {count}; the decoder of {backbone.card.title} has "
                f"{len(backbone.sites)} spatial self-attention layers.",
                hint=f"Use at most {len(backbone.sites)}.",
            )
        fuses = self._own.self_weight != 1
        self._sites = backbone.sites[len(backbone.sites) - count :] if fuses else ()
        self._image: DeltaDenoising | None = None
        if self._own.image_weight:
            if image_backbone is None:
                raise InvalidJobError(
                    f"image_weight is {self._own.image_weight:g} and there is no image model.",
                    hint="Name an image model, or set image_weight to 0.",
                )
            self._image = DeltaDenoising(image_backbone, prompts, settings)

    @torch.no_grad()
    def gradient(
        self, step: WindowStep, weights: tuple[float, ...] = (), reference: Reference | None = None
    ) -> Tensor:
        """See `Guidance.gradient`."""
        reference = reference or self.reference(step, weights)
        source = reference[GUIDED]
        target = self._guided_noise_pred(
            step.z_target, self._target_embeddings, step, fuse=self._fusion(reference)
        )
        delta = target - source
        # m ⊙ (ε − SS(ε̂)) + (1 − m) ⊙ (ε − ε̂), written so that m = 0 leaves the difference as it is.
        mixed = source - step.noise if self._own.smoothing_of == "residual" else source
        correction = mixed - smoothed(mixed, self._own.smoothing_centre)
        is_smoothed = smoothing_mask(delta, self._own.threshold, self._own.reading)
        gradient = delta + torch.where(is_smoothed, correction, 0.0)
        if self._image is not None:
            score = self._image.score(step, _without(IMAGE, reference))
            gradient = gradient + self._own.image_weight * score
        return gradient * step.mask

    @torch.no_grad()
    def reference(
        self, step: WindowStep, weights: tuple[float, ...] = (), known: Reference | None = None
    ) -> Reference:
        """The source's prediction, what the target attends to, and the image model's prediction.

        See `Guidance.reference`. Where the keys and values are not known there is nothing to save
        but the image model's pass: they and the prediction come from one.
        """
        known = known or {}
        found = {name: known[name] for name in self._names() if name in known}
        if len(found) < len(self._names()):
            record = Recording(self._sites, with_values=True)
            found[GUIDED] = self._guided_noise_pred(
                step.z_source, self._source_embeddings, step, record=record
            )
            found |= {KEYS + site: keys for site, keys in record.keys.items()}
            found |= {VALUES + site: values for site, values in record.values.items()}
        if self._image is not None:
            image = self._image.reference(step, weights, _without(IMAGE, known))
            found |= {IMAGE + name: value for name, value in image.items()}
        return found

    def _names(self) -> list[str]:
        return [GUIDED, *(start + site for site in self._sites for start in (KEYS, VALUES))]

    def _fusion(self, reference: Reference) -> Fusion | None:
        if not self._sites:
            return None
        keys, values = _without(KEYS, reference), _without(VALUES, reference)
        record = Recording(self._sites, with_values=True, keys=keys, values=values)
        return Fusion(record, self._own.self_weight)


def smoothed(prediction: Tensor, centre: float) -> Tensor:
    """Eq. 8: each frame of `(frames, …)` with its neighbours, weights renormalised at both ends."""
    side = (1 - centre) / 2
    total = centre * prediction
    weight = torch.full((len(prediction), *[1] * (prediction.ndim - 1)), centre).to(prediction)
    for near, far in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        total[near] += side * prediction[far]
        weight[near] += side
    return total / weight


def smoothing_mask(delta: Tensor, threshold: float, reading: Reading) -> Tensor:
    """Eq. 9: where the source branch is smoothed.

    Args:
        delta: ε − ε̂, `(frames, …)`.
        threshold: τ, in standard deviations of |delta|.
        reading: Which side of the threshold is smoothed.

    Returns:
        Boolean, the shape of `delta`.
    """
    size = delta.abs()
    limit = size.amax(dim=0, keepdim=True) - threshold * size.std(correction=0)
    return size < limit if reading == "below" else size > limit


def _without(start: str, reference: Reference) -> dict[str, Tensor]:
    """The entries whose names begin with a word, by the rest of their names."""
    return {
        name.removeprefix(start): value
        for name, value in reference.items()
        if name.startswith(start)
    }
