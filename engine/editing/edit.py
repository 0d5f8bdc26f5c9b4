# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimisation: gradient descent on a clip's latents along a guidance (torch, never bpy).

    z ← z − η · mean over windows of ∇L(z; t_k, ε_k)          k = 1 … steps

with z starting at the source's latents. The result is z̄, a running mean of z (Polyak & Juditsky
1992): the noise of single steps, which shows as flicker because every frame has its own, averages
out. t_k and ε_k are pure functions of (seed, step, media
frame), so the whole state is z, z̄, k and a few numbers (`EditState`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..backbones.base import Backbone
from ..errors import NumericalError
from ..guidance.dds import Branch, delta_denoising_score
from ..guidance.randomness import draw_phase, draw_timestep, frame_noise
from ..job import EditSettings
from .probe import Probes
from .windows import WindowAverage, tile

SMALLEST_SCALE = 1e-12
"""Below this, two prompts count as one to the model; it only keeps the calibrated step finite."""


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
        start_preference: The model's preference for the target prompt at the source.
        progress: Last measured progress of the edit: 0 at the source, 1 when the model prefers the
            target as much as it preferred the source.
        is_finished: Whether the stopping rule or the last step was reached.
        gradient_norms: ‖∇L‖₂ of every step.
        update_norms: ‖Δz‖₂ of every step.
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


class Edit:
    """One clip's optimisation.

    Args:
        backbone: The frozen model.
        clip: The source.
        source_prompt: What is there.
        target_prompt: What should be there.
        settings: Numbers of the method.
        seed: Of noise, timesteps and window phases.
        check: Called before every model call; raises to cancel.
    """

    def __init__(
        self,
        backbone: Backbone,
        clip: Clip,
        *,
        source_prompt: str,
        target_prompt: str,
        settings: EditSettings,
        seed: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._backbone = backbone
        self._clip = clip
        self._settings = settings
        self._seed = seed
        self._check = check
        source, target, empty = backbone.embed([source_prompt, target_prompt, ""])
        self._source_embeddings = torch.stack([source, empty])
        self._target_embeddings = torch.stack([target, empty])
        self._probes = Probes(
            backbone,
            torch.stack([source, target]),
            clip.mask,
            media_frames=clip.media_frames,
            seed=seed,
            check=check,
        )

    def start(self) -> EditState:
        """The state before the first step: the target is the source, η and P(ẑ) are measured."""
        settings = self._settings
        measured = self._probes.measure(self._clip.z_source)
        effective_step = settings.effective_step
        if settings.step_rule == "calibrated":
            # At the source both empty-prompt predictions are one, so the first gradient is exactly
            # ω (ε_φ(z_t, y) − ε_φ(z_t, ŷ)): its typical size times η is the asked-for change.
            scale = settings.guidance_scale * measured.prompt_difference
            effective_step = settings.step_size / max(scale, SMALLEST_SCALE)
        return EditState(
            z_target=self._clip.z_source.clone(),
            z_average=self._clip.z_source.clone(),
            effective_step=effective_step,
            start_preference=measured.preference,
            is_finished=settings.strength == 0,
        )

    def advance(self, state: EditState) -> EditState:
        """The state one step later."""
        gradient = self._gradient(state.z_target, state.step)
        update = state.effective_step * gradient
        norm = float(gradient.norm())
        if not torch.isfinite(gradient).all():
            raise NumericalError(
                f"Step {state.step + 1}: the gradient is not finite, "
                f"with effective_step {state.effective_step:.3g}.",
                hint="Lower step_size or guidance_scale, or use precision float32.",
            )
        z_target = state.z_target - update
        # Written as a difference, so that equal latents average to themselves, bit for bit.
        moved = (1 - self._settings.averaging) * (z_target - state.z_average)
        state = replace(
            state,
            z_target=z_target,
            z_average=state.z_average + moved,
            step=state.step + 1,
            gradient_norms=(*state.gradient_norms, norm),
            update_norms=(*state.update_norms, float(update.norm())),
        )
        return self._judge(state)

    def _gradient(self, z_target: Tensor, step: int) -> Tensor:
        settings, clip = self._settings, self._clip
        frame_count, window_frames = len(z_target), self._backbone.card.window_frames
        timestep = draw_timestep(
            self._seed,
            step,
            timesteps=self._backbone.timesteps,
            smallest=settings.timestep_min,
            largest=settings.timestep_max,
            schedule=settings.timestep_schedule,
        )
        average = WindowAverage(z_target)
        for window in tile(frame_count, window_frames, draw_phase(self._seed, step, window_frames)):
            self._check()
            rows = slice(window.start, window.stop)
            gradient = delta_denoising_score(
                self._backbone,
                Branch(clip.z_source[rows], self._source_embeddings),
                Branch(z_target[rows], self._target_embeddings),
                noise=self._noise(window, step),
                timestep=timestep,
                guidance_scale=settings.guidance_scale,
                mask=clip.mask[rows],
            )
            average.add(window, gradient)
        return average.mean()

    def _noise(self, window: range, step: int) -> Tensor:
        media_frames: Sequence[int] = [self._clip.media_frames[i] for i in window]
        _, channels, height, width = self._clip.z_source.shape
        noise = frame_noise(self._seed, step, media_frames, (channels, height, width))
        return noise.to(self._clip.z_source)

    def _judge(self, state: EditState) -> EditState:
        """Stop when P(z) − P(ẑ) > 2 · strength · |P(ẑ)|, asked every `probe_interval` steps.

        The inequality is strict: where both prompts are one, P is 0 throughout and all steps are
        run.
        """
        settings = self._settings
        is_last = state.step >= settings.steps
        if settings.use_stopping_rule and (is_last or state.step % settings.probe_interval == 0):
            gain = self._probes.measure(state.z_average).preference - state.start_preference
            whole = 2 * abs(state.start_preference)
            state = replace(state, progress=gain / whole if whole else 0.0)
            is_last = is_last or gain > settings.strength * whole
        return replace(state, is_finished=is_last)
