# SPDX-License-Identifier: GPL-3.0-or-later
"""DreamMotion: space-time self-similar score distillation (torch, never bpy).

Jeong et al., "DreamMotion", ECCV 2024 (arXiv 2403.12002):

    ∇L = m ⊙ ∇L_V-DDS + λ_s ∇L_S-SSM + λ_t ∇L_T-SSM

V-DDS is the delta denoising score of a clip (dds.py), masked per frame by m. S-SSM and T-SSM
(self_similarity.py) hold the keys of the decoder's spatial self-attention to those of the source,
in the passes that predict the noise with the prompts: same noise and timestep for all three terms.
V-DDS needs no backward pass; the other two have one through one pass of four.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..backbones.base import Backbone, Recording
from ..errors import SMALLER_NUMBERS, InvalidJobError, NumericalError
from ..job import EditSettings
from .base import Reference, WindowStep
from .dds import DeltaDenoising
from .self_similarity import spatial_self_similarity, temporal_self_similarity

LEAST_TERM = 1e-9
"""A similarity term whose gradient is smaller than this share of the edit's is rounding: on one
frame there is no temporal similarity, and none of any kind between equal prompts."""

SINGLE = "single"
"""Name of the source's guided prediction in a reference whose passes have a batch of one."""

KEYS = "keys."
"""Beginning of the names of the source's keys in a reference; the site follows."""


class DreamMotion(DeltaDenoising):
    """`dreammotion`.

    Raises:
        InvalidJobError: a setting does not fit the backbone.
    """

    def __init__(
        self, backbone: Backbone, prompts: tuple[str, str], settings: EditSettings
    ) -> None:
        super().__init__(backbone, prompts, settings)
        self._own = settings.dreammotion
        self._sites = chosen_sites(self._own.key_sites, backbone.sites)
        if settings.optimiser == "adam" and self._own.mask_scope != "all":
            raise InvalidJobError(
                "Adam with mask_scope dds would move latents outside the mask as far as inside: "
                "it makes all updates of one size.",
                hint="Use mask_scope all, or the optimiser sgd.",
            )
        self.needs_calibration = self._own.similarity_rule == "calibrated"
        backbone.checkpointing = self._own.checkpointing

    def gradient(
        self, step: WindowStep, weights: tuple[float, ...] = (), reference: Reference | None = None
    ) -> Tensor:
        """See `Guidance.gradient`; without either similarity it is `dds` and costs what that costs.

        Args:
            step: Where and with what noise.
            weights: λ_s and λ_t; empty: those of the settings.
            reference: What `reference` returned.
        """
        spatial, temporal = self._weights(weights)
        if spatial == temporal == 0:
            return super().gradient(step, weights, reference)
        terms = self._terms(step, reference or self.reference(step, weights))
        loss = spatial * terms.spatial + temporal * terms.temporal
        (similarity,) = torch.autograd.grad(loss, terms.latents)
        return terms.delta * step.mask + self._scoped(similarity, step)

    def reference(
        self, step: WindowStep, weights: tuple[float, ...] = (), known: Reference | None = None
    ) -> Reference:
        """The source's prediction, and its keys where there is a similarity term.

        See `Guidance.reference`. The keys are the larger part; without them only the empty prompt's
        pass is saved.
        """
        known = known or {}
        if self._weights(weights) == (0, 0):
            return super().reference(step, weights, known)
        if SINGLE in known and all(KEYS + site in known for site in self._sites):
            return known
        z_t = self._backbone.add_noise(step.z_source, step.noise, step.timestep)[None]
        record = Recording(self._sites)
        with torch.no_grad():
            prompt = self._backbone.noise_pred(
                z_t, step.timestep, self._source_embeddings[:1], record=record
            )
            keys = {KEYS + site: record.keys[site] for site in self._sites}
            if SINGLE in known:
                return {SINGLE: known[SINGLE], **keys}
            return {SINGLE: self._guided(prompt, z_t, self._source_embeddings, step), **keys}

    def calibrate(self, steps: Iterable[WindowStep]) -> tuple[float, ...]:
        """λ_s and λ_t that give the terms their shares of the norm of V-DDS at the probes."""
        shares = (self._own.spatial_share, self._own.temporal_share)
        if shares == (0.0, 0.0):
            return shares
        norms = self._backbone.threads.map(self.term_norms, steps)
        delta, *terms = (sum(values) for values in zip(*norms, strict=True))
        if not all(map(math.isfinite, (delta, *terms))):
            raise NumericalError(
                "Calibration: the norms of V-DDS, S-SSM and T-SSM came out as "
                f"{delta:.3g}, {terms[0]:.3g} and {terms[1]:.3g}.",
                hint=SMALLER_NUMBERS,
            )
        pairs = zip(shares, terms, strict=True)
        return tuple(
            share * delta / term if term > LEAST_TERM * delta else 0.0 for share, term in pairs
        )

    def term_norms(self, step: WindowStep) -> tuple[float, float, float]:
        """‖m ⊙ ∇L_V-DDS‖, ‖∇L_S-SSM‖ and ‖∇L_T-SSM‖ (masked where the settings mask them)."""
        terms = self._terms(step, self.reference(step, (1.0, 1.0)))
        (spatial,) = torch.autograd.grad(terms.spatial, terms.latents, retain_graph=True)
        (temporal,) = torch.autograd.grad(terms.temporal, terms.latents)
        gradients = (terms.delta * step.mask, *(self._scoped(g, step) for g in (spatial, temporal)))
        delta_norm, spatial_norm, temporal_norm = (float(g.norm()) for g in gradients)
        return delta_norm, spatial_norm, temporal_norm

    def _weights(self, weights: tuple[float, ...]) -> tuple[float, float]:
        spatial, temporal = weights or (self._own.spatial_weight, self._own.temporal_weight)
        return spatial, temporal

    def _scoped(self, similarity: Tensor, step: WindowStep) -> Tensor:
        """A similarity term's gradient, masked if the settings say so; the paper does not."""
        return similarity * step.mask if self._own.mask_scope == "all" else similarity

    def _terms(self, step: WindowStep, reference: Reference) -> _Terms:
        """The target's two passes, one of them with a graph; prediction and keys are of the same.

        Each is a call of its own, as the source's are, so that both branches meet the same shapes
        and equal branches give exactly equal numbers.
        """
        record = Recording(self._sites)
        with torch.enable_grad():
            latents = step.z_target.detach().requires_grad_()
            z_t = self._backbone.add_noise(latents, step.noise, step.timestep)[None]
            prompt = self._backbone.noise_pred(
                z_t, step.timestep, self._target_embeddings[:1], record=record
            )
            spatial, temporal = _losses(record.keys, reference)
        with torch.no_grad():
            guided = self._guided(prompt.detach(), z_t.detach(), self._target_embeddings, step)
        return _Terms(latents, guided - reference[SINGLE], spatial, temporal)

    def _guided(self, prompt: Tensor, z_t: Tensor, embeddings: Tensor, step: WindowStep) -> Tensor:
        """Classifier-free guidance with a pass of its own for the empty prompt."""
        if self._scale == 1:
            return prompt[0]
        empty = self._backbone.noise_pred(z_t, step.timestep, embeddings[1:])
        return (empty + self._scale * (prompt - empty))[0]


@dataclass(frozen=True)
class _Terms:
    """What the passes of one step leave."""

    latents: Tensor
    """Where the graph of both losses begins."""
    delta: Tensor
    """∇L_V-DDS, without a graph."""
    spatial: Tensor
    """L_S-SSM, mean over the sites."""
    temporal: Tensor
    """L_T-SSM, mean over the sites."""


def _losses(keys: Mapping[str, Tensor], reference: Reference) -> tuple[Tensor, Tensor]:
    pairs = [(own, reference[KEYS + site]) for site, own in keys.items()]
    spatial = torch.stack([spatial_self_similarity(*pair) for pair in pairs]).mean()
    temporal = torch.stack([temporal_self_similarity(*pair) for pair in pairs]).mean()
    return spatial, temporal


def chosen_sites(wanted: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The sites whose names begin with one of the comma-separated words.

    Raises:
        InvalidJobError: a word fits none.
    """
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    for word in words or [wanted]:
        if not words or not any(site.startswith(word) for site in known):
            raise InvalidJobError(
                f"key_sites has {word!r}, which is the beginning of no self-attention layer.",
                hint=f"The decoder's layers are {', '.join(known)}.",
            )
    return tuple(site for site in known if any(site.startswith(word) for word in words))
