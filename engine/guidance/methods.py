# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job's method and settings to its guidance (torch, never bpy)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..backbones.base import Backbone
from ..errors import InvalidJobError
from ..job import EditSettings, Method
from ..method_settings import DreamMotionSettings
from .assd import ImageGuidance, Sliding, adaptive_sliding_score
from .base import Guidance, WindowStep
from .dds import Branch, delta_denoising_score
from .dreammotion import SimilarityWeights, dreammotion_gradient, term_norms
from .sds import score_distillation

LEAST_TERM = 1e-9
"""A similarity term whose gradient is smaller than this share of the edit's is rounding: on one
frame there is no temporal similarity, and none of any kind between equal prompts."""


class _OnPrompts(Guidance):
    """A guidance with its backbone and embedded prompts.

    Args:
        backbone: The frozen model.
        prompts: Source prompt and target prompt.
        settings: Numbers of the method.
    """

    def __init__(
        self, backbone: Backbone, prompts: tuple[str, str], settings: EditSettings
    ) -> None:
        self._backbone = backbone
        self._settings = settings
        self._embeddings = _embed(backbone, prompts)

    def _branches(self, step: WindowStep) -> tuple[Branch, Branch]:
        source, target = self._embeddings
        return Branch(step.z_source, source), Branch(step.z_target, target)


class ScoreDistillation(_OnPrompts):
    """`sds`."""

    def gradient(self, step: WindowStep, weights: tuple[float, ...]) -> Tensor:
        """See `Guidance.gradient`."""
        del weights
        return score_distillation(
            self._backbone,
            self._branches(step)[1],
            noise=step.noise,
            timestep=step.timestep,
            guidance_scale=self._settings.guidance_scale,
            mask=step.mask,
        )


class DeltaDenoising(_OnPrompts):
    """`dds`."""

    def gradient(self, step: WindowStep, weights: tuple[float, ...]) -> Tensor:
        """See `Guidance.gradient`."""
        del weights
        return delta_denoising_score(
            self._backbone,
            *self._branches(step),
            noise=step.noise,
            timestep=step.timestep,
            guidance_scale=self._settings.guidance_scale,
            mask=step.mask,
        )


class DreamMotion(_OnPrompts):
    """`dreammotion`."""

    def __init__(
        self, backbone: Backbone, prompts: tuple[str, str], settings: EditSettings
    ) -> None:
        super().__init__(backbone, prompts, settings)
        self._own: DreamMotionSettings = settings.dreammotion
        self._sites = chosen_sites(self._own.key_sites, backbone.sites)
        if settings.optimiser == "adam" and self._own.mask_scope != "all":
            raise InvalidJobError(
                "Adam with mask_scope dds would move latents outside the mask as far as inside: "
                "it makes all updates of one size.",
                hint="Use mask_scope all, or the optimiser sgd.",
            )
        self.needs_calibration = self._own.similarity_rule == "calibrated"
        backbone.checkpointing = self._own.checkpointing

    def gradient(self, step: WindowStep, weights: tuple[float, ...]) -> Tensor:
        """See `Guidance.gradient`."""
        own = self._own
        spatial, temporal = weights or (own.spatial_weight, own.temporal_weight)
        return dreammotion_gradient(
            self._backbone,
            *self._branches(step),
            noise=step.noise,
            timestep=step.timestep,
            guidance_scale=self._settings.guidance_scale,
            weights=SimilarityWeights(spatial, temporal),
            sites=self._sites,
            mask=step.mask,
            mask_similarity=own.mask_scope == "all",
        )

    def calibrate(self, steps: Iterable[WindowStep]) -> tuple[float, ...]:
        """λ_s and λ_t that give the terms their shares of the norm of V-DDS at the probes."""
        shares = (self._own.spatial_share, self._own.temporal_share)
        if shares == (0.0, 0.0):
            return shares
        norms = [
            term_norms(
                self._backbone,
                *self._branches(step),
                noise=step.noise,
                timestep=step.timestep,
                guidance_scale=self._settings.guidance_scale,
                sites=self._sites,
                mask=step.mask,
                mask_similarity=self._own.mask_scope == "all",
            )
            for step in steps
        ]
        delta, *terms = (sum(values) for values in zip(*norms, strict=True))
        pairs = zip(shares, terms, strict=True)
        return tuple(
            share * delta / term if term > LEAST_TERM * delta else 0.0 for share, term in pairs
        )


class AdaptiveSliding(_OnPrompts):
    """`assd`.

    Args:
        backbone: The frozen text-to-video model.
        prompts: Source prompt and target prompt.
        settings: Numbers of the method.
        image_backbone: The image model of the joint guidance; none: without.
    """

    def __init__(
        self,
        backbone: Backbone,
        prompts: tuple[str, str],
        settings: EditSettings,
        image_backbone: Backbone | None,
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
        self._sites = backbone.sites[len(backbone.sites) - count :]
        if self._own.image_weight and image_backbone is None:
            raise InvalidJobError(
                f"image_weight is {self._own.image_weight:g} and there is no image model.",
                hint="Name an image model, or set image_weight to 0.",
            )
        self._image = image_backbone if self._own.image_weight else None
        self._image_embeddings = _embed(self._image, prompts) if self._image else None

    def gradient(self, step: WindowStep, weights: tuple[float, ...]) -> Tensor:
        """See `Guidance.gradient`."""
        del weights
        own, image = self._own, None
        if self._image is not None and self._image_embeddings is not None:
            source, target = self._image_embeddings
            image = ImageGuidance(
                self._image,
                Branch(step.z_source, source),
                Branch(step.z_target, target),
                own.image_weight,
            )
        return adaptive_sliding_score(
            self._backbone,
            *self._branches(step),
            noise=step.noise,
            timestep=step.timestep,
            guidance_scale=self._settings.guidance_scale,
            sliding=Sliding(own.smoothing_centre, own.threshold, own.reading),
            fused_sites=self._sites,
            self_weight=own.self_weight,
            image=image,
            mask=step.mask,
        )


def make_guidance(
    method: Method,
    backbone: Backbone,
    prompts: tuple[str, str],
    settings: EditSettings,
    *,
    image_backbone: Backbone | None = None,
) -> Guidance:
    """The guidance of a job.

    Args:
        method: Its name.
        backbone: The frozen text-to-video model.
        prompts: Source prompt and target prompt.
        settings: Numbers of the loop and of the method.
        image_backbone: The image model of `assd`.

    Raises:
        InvalidJobError: a setting does not fit the backbone.
    """
    if method == "assd":
        return AdaptiveSliding(backbone, prompts, settings, image_backbone)
    simple = {"sds": ScoreDistillation, "dds": DeltaDenoising, "dreammotion": DreamMotion}
    return simple[method](backbone, prompts, settings)


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


def _embed(backbone: Backbone, prompts: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Embeddings of (source, empty) and of (target, empty)."""
    source, target, empty = backbone.embed([*prompts, ""])
    return torch.stack([source, empty]), torch.stack([target, empty])
