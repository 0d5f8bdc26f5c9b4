# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimisation: gradient descent on a clip's latents along a guidance (torch, never bpy).

    z ← z − η · mean over windows of ∇L(z; t_k, ε_k)          k = 1 … steps

with z starting at the source's latents. The result is z̄, a running mean of z (Polyak & Juditsky
1992): the noise of single steps, which shows as flicker because every frame has its own, averages
out. t_k and ε_k are pure functions of (seed, step, media
frame), so the whole state is z, z̄, k and a few numbers (`EditState`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..backbones.base import Backbone
from ..errors import SMALLER_NUMBERS, NumericalError
from ..guidance.base import WindowStep
from ..guidance.methods import make_guidance
from ..guidance.randomness import draw_phase, draw_timestep, frame_noise
from ..job import EditSettings, Method
from .probe import Probes
from .references import KeepsReferences
from .state import Clip, EditState
from .windows import WindowAverage, tile

NO_WEIGHTS = (0.0, 0.0)
"""Of the terms, before they are measured: the edit's own gradient alone."""

ADAM_BETAS = (0.9, 0.99)
ADAM_EPSILON = 1e-8

MOST_UPDATE = 3.0
"""A calibrated update's typical size is at most this many times step_size. The first gradients can
be much smaller than later ones (a change of shape that the model hardly sees in the noise); without
a limit such an edit leaves what numbers can hold."""

CALIBRATION_STEP = -100
"""Key of the calibration's noise: apart from the steps' (0 up) and the probes' (-1 down)."""


class Edit:
    """One clip's optimisation.

    Args:
        backbone: The frozen model.
        clip: The source.
        source_prompt: What is there.
        target_prompt: What should be there.
        settings: Numbers of the method.
        seed: Of noise, timesteps and window phases.
        method: Name of the guidance.
        image_backbone: The image model of `assd`.
        references: Keeps the source branch's part of every step for the next edit; none: nothing
            is kept.
        check: Called before every window's model calls; raises to cancel.

    Raises:
        InvalidJobError: a setting does not fit the backbone.
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
        method: Method = "dds",
        image_backbone: Backbone | None = None,
        references: KeepsReferences | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._backbone = backbone
        self._clip = clip
        self._settings = settings
        self._seed = seed
        self._check = check
        self._references = references
        prompts = (source_prompt, target_prompt)
        self._guidance = make_guidance(
            method, backbone, prompts, settings, image_backbone=image_backbone
        )
        self._probes = Probes(
            backbone,
            backbone.embed(prompts),
            clip.mask,
            media_frames=clip.media_frames,
            seed=seed,
            check=check,
        )

    def start(self) -> EditState:
        """The state before the first step: the target is the source, η and P(ẑ) are measured."""
        settings = self._settings
        start_preference = self._probes.preference(self._clip.z_source)
        _check_finite("the model's errors in the source", start_preference)
        effective_step = settings.effective_step
        # Adam's updates have their own size; only DreamMotion's probes then take such steps.
        if settings.step_rule == "calibrated" or settings.optimiser == "adam":
            # Where there is no gradient (equal prompts, an empty mask) there is no step either.
            scale = self._typical_gradient()
            _check_finite("the typical gradient", scale)
            effective_step = settings.step_size / scale if scale else 0.0
        state = EditState(
            z_target=self._clip.z_source.clone(),
            z_average=self._clip.z_source.clone(),
            effective_step=effective_step,
            start_preference=start_preference,
            is_finished=settings.most_steps == 0,
        )
        if self._guidance.needs_calibration and not state.is_finished:
            probes = self._calibration_steps(effective_step)
            weights = self._guidance.calibrate(self._checked(probes))
            state = replace(state, term_weights=weights)
        return state

    def advance(self, state: EditState) -> EditState:
        """The state one step later."""
        gradient = self._gradient(state)
        state, update = self._update(state, gradient)
        norm = float(gradient.norm())
        if not torch.isfinite(gradient).all():
            raise NumericalError(
                f"Step {state.step + 1}: the gradient is not finite, "
                f"with effective_step {state.effective_step:.3g}.",
                hint=SMALLER_NUMBERS,
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

    def _update(self, state: EditState, gradient: Tensor) -> tuple[EditState, Tensor]:
        """What to subtract from the latents, and the state with the optimiser's memory renewed."""
        settings = self._settings
        if settings.optimiser == "sgd":
            update = state.effective_step * gradient
            if settings.step_rule == "calibrated":
                size = _typical_size([update])
                update *= min(1.0, MOST_UPDATE * settings.step_size / size) if size else 1.0
            return state, update
        # Adam (Kingma & Ba 2015, algorithm 1), its moments divided by what is missing in them.
        if not len(state.first_moment):
            zeros = torch.zeros_like(gradient)
            state = replace(state, first_moment=zeros, second_moment=zeros)
        first = state.first_moment.lerp(gradient, 1 - ADAM_BETAS[0])
        second = state.second_moment.lerp(gradient**2, 1 - ADAM_BETAS[1])
        known = [1 - beta ** (state.step + 1) for beta in ADAM_BETAS]
        direction = (first / known[0]) / ((second / known[1]).sqrt() + ADAM_EPSILON)
        state = replace(state, first_moment=first, second_moment=second)
        return state, settings.step_size * direction

    def _gradient(self, state: EditState) -> Tensor:
        clip, settings, step = self._clip, self._settings, state.step
        timestep = draw_timestep(
            self._seed,
            step,
            timesteps=self._backbone.timesteps,
            smallest=settings.timestep_min,
            largest=settings.timestep_max,
            schedule=settings.timestep_schedule,
            # Not `most_steps`: what is kept for the next edit must not depend on the strength.
            steps=settings.steps,
        )
        length = self._backbone.card.window_frames
        windows = tile(len(clip.mask), length, draw_phase(self._seed, step, length))

        def of_window(window: range) -> Tensor:
            self._check()
            window_step = self._window_step(window, state.z_target, step, timestep)
            reference = None
            if self._references is not None:
                reference = self._references.get(
                    self._guidance,
                    window_step,
                    state.term_weights,
                    step=step,
                    frame=window.start,
                )
            return self._guidance.gradient(window_step, state.term_weights, reference)

        average = WindowAverage(state.z_target)
        gradients = self._backbone.threads.map(of_window, windows)
        for window, gradient in zip(windows, gradients, strict=True):
            average.add(window, gradient)
        return average.mean()

    def _window_step(self, window: range, z_target: Tensor, step: int, timestep: int) -> WindowStep:
        rows = slice(window.start, window.stop)
        return WindowStep(
            z_source=self._clip.z_source[rows],
            z_target=z_target[rows],
            mask=self._clip.mask[rows],
            noise=self._noise(window, step),
            timestep=timestep,
        )

    def _typical_gradient(self) -> float:
        """Typical size of the first gradients."""
        return _typical_size(self._first_gradients())

    def _first_gradients(self) -> Iterator[Tensor]:
        def first(place: tuple[range, int]) -> Tensor:
            self._check()
            window, number = place
            timestep = self._probes.timesteps[number]
            step = self._window_step(window, self._clip.z_source, -1 - number, timestep)
            return self._guidance.gradient(step, NO_WEIGHTS)

        places = itertools.product(self._probes.windows, range(len(self._probes.timesteps)))
        return self._backbone.threads.map(first, places)

    def _checked(self, steps: Iterable[WindowStep]) -> Iterator[WindowStep]:
        """The steps, with a chance to cancel before each."""
        for step in steps:
            self._check()
            yield step

    def _calibration_steps(self, effective_step: float) -> list[WindowStep]:
        """Fixed probes beside the source: a few steps of the plain edit away from it.

        At the source itself the similarity terms have nothing to pull at yet.
        """
        timesteps = self._probes.timesteps

        def of_window(window: range) -> list[WindowStep]:
            z_target = self._clip.z_source.clone()
            rows = slice(window.start, window.stop)
            for number, timestep in enumerate(timesteps):
                self._check()
                step = self._window_step(window, z_target, CALIBRATION_STEP - number, timestep)
                z_target[rows] -= effective_step * self._guidance.gradient(step, NO_WEIGHTS)
            return [
                self._window_step(window, z_target, CALIBRATION_STEP - number, timestep)
                for number, timestep in enumerate(timesteps)
            ]

        probes = self._backbone.threads.map(of_window, self._probes.windows)
        return list(itertools.chain.from_iterable(probes))

    def _noise(self, window: range, step: int) -> Tensor:
        media_frames: Sequence[int] = [self._clip.media_frames[i] for i in window]
        _, channels, height, width = self._clip.z_source.shape
        noise = frame_noise(self._seed, step, media_frames, (channels, height, width))
        return noise.to(self._clip.z_source)

    def _judge(self, state: EditState) -> EditState:
        """Stop when P(z) − P(ẑ) > 2 · strength · |P(ẑ)|, asked every `probe_interval` steps.

        After `most_steps` in any case. The inequality is strict: where both prompts are one, P is
        0 throughout and all steps are run.
        """
        settings = self._settings
        is_last = state.step >= settings.most_steps
        if settings.use_stopping_rule and (is_last or state.step % settings.probe_interval == 0):
            gain = self._probes.preference(state.z_average) - state.start_preference
            _check_finite(f"step {state.step}: the model's errors in the edit", gain)
            whole = 2 * abs(state.start_preference)
            state = replace(state, progress=gain / whole if whole else 0.0)
            is_last = is_last or gain > settings.strength * whole
        return replace(state, is_finished=is_last)


def _typical_size(values: Iterable[Tensor]) -> float:
    """Typical size of gradients `(frames, channels, h, w)` where they act.

    Their RMS over latents, each weighted by its own square, so that an object's area does not
    matter.
    """
    energy = energy_squared = 0.0
    for value in values:
        power = value.square().mean(1).double()
        energy += float(power.sum())
        energy_squared += float((power**2).sum())
    # A number that is not finite must stay one.
    return math.sqrt(energy_squared / energy) if energy != 0 else 0.0


def _check_finite(what: str, value: float) -> None:
    """Refuse to go on with NaN or infinity, which comparisons take for "no"."""
    if not math.isfinite(value):
        text = f"{what[0].upper()}{what[1:]} came out as {value}."
        raise NumericalError(text, hint=SMALLER_NUMBERS)
