# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the one description of an edit, `EditJob`.

Everything that influences the result is in it: same job, machine, lock and thread count give
the same pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import InvalidJobError, ProtocolError
from .media import Mask, Media
from .method_settings import AssdSettings, DreamMotionSettings
from .schema import check_limits, from_plain, loads, setting, to_plain

JOB_VERSION = 1
"""Version of job.json; a job of another version is refused, never guessed at."""

MOST_SIDE_PX = 8192
LEAST_AREA_SCALE = 1 / 64
MOST_FPS = 1000
MOST_FPS_TERM = 2**31 - 1
"""What movie files can hold; average rates of phones' clips do have terms of many millions."""

Method = Literal["dds", "sds", "dreammotion", "assd"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class EditSettings:
    """Numbers of the optimisation. Defaults follow DDS (Hertz et al. 2023) where it gives a value.

    Every backbone carries recommended values, in its delta_strip.json or in vendor/models.toml.
    """

    strength: float = setting(
        1.0,
        doc="how far the edit goes: 0 leaves the clip, 1 is the complete edit, above overdoes it",
        minimum=0,
        maximum=3,
    )
    steps: int = setting(200, doc="most iterations up to strength 1", minimum=1, maximum=5000)
    guidance_scale: float = setting(
        7.5,
        doc="guidance of both branches (default: DDS's published code; on the demo model 1, which "
        "is half the work of any other and comes nearer to the exact answer than 1.5)",
        minimum=0,
        maximum=100,
    )
    timestep_min: float = setting(
        0.05, doc="least noise, as a share of the schedule", minimum=0.001, maximum=0.999
    )
    timestep_max: float = setting(
        0.95, doc="most noise, as a share of the schedule", minimum=0.001, maximum=0.999
    )
    timestep_schedule: Literal["uniform", "stratified", "descending"] = setting(
        "uniform", doc="independent draws, draws that cover the range evenly, or from most to least"
    )
    step_rule: Literal["calibrated", "fixed"] = setting(
        "calibrated",
        doc="scale of an update: from the first gradients of the job, or effective_step",
        has_effect=lambda own: own.optimiser == "sgd",
    )
    optimiser: Literal["sgd", "adam"] = setting(
        "sgd", doc="gradient descent as in the papers, or Adam, whose updates are of step_size"
    )
    step_size: float = setting(
        0.05,
        doc="calibrated rule: typical change of an edited latent per step, in standard deviations",
        minimum=0.0001,
        maximum=2,
        has_effect=lambda own: own.step_rule == "calibrated" or own.optimiser == "adam",
    )
    effective_step: float = setting(
        0.1 * 2000 / 4096,
        doc="fixed rule: coefficient on the gradient (DDS: lr 0.1 · 2000 / (64·64))",
        minimum=0,
        maximum=10,
        has_effect=lambda own: own.step_rule == "fixed" and own.optimiser == "sgd",
    )
    averaging: float = setting(
        0.0,
        doc="the result is a running mean of the latents: share kept per step, 0 for the last ones",
        minimum=0,
        maximum=0.99,
    )
    smoothing_frames: int = setting(
        0,
        doc="frames before and after that steady the edit where the source is alike; 0: none",
        unit="frames",
        minimum=0,
        maximum=16,
    )
    use_stopping_rule: bool = setting(
        True, doc="stop when the model prefers the target prompt as much as strength asks for"
    )
    probe_interval: int = setting(
        4,
        doc="steps between two measurements of the stopping rule",
        unit="steps",
        minimum=1,
        maximum=500,
        has_effect=lambda own: own.use_stopping_rule,
    )

    dreammotion: DreamMotionSettings = setting(
        DreamMotionSettings(), doc="numbers of the method dreammotion"
    )
    assd: AssdSettings = setting(AssdSettings(), doc="numbers of the method assd")

    def __post_init__(self) -> None:
        check_limits(self)
        if self.timestep_min >= self.timestep_max:
            raise InvalidJobError(
                f"timestep_min {self.timestep_min:g} is not below "
                f"timestep_max {self.timestep_max:g}."
            )

    @property
    def most_steps(self) -> int:
        """Steps after which an edit ends in any case.

        With the stopping rule in proportion more above strength 1; without it in proportion to the
        strength, because then nothing else says how far the edit goes.
        """
        if self.strength == 0:
            return 0
        share = max(1.0, self.strength) if self.use_stopping_rule else self.strength
        return max(1, round(self.steps * share))


@dataclass(frozen=True, kw_only=True)
class EditJob:
    """One edit of one clip, complete and serialisable: the contents of job.json."""

    version: int = setting(JOB_VERSION, doc="version of this format")
    source: Media = setting(doc="the clip")
    fps: tuple[int, int] = setting(doc="frames per second of the clip as numerator, denominator")
    source_prompt: str = setting(doc="what is there")
    target_prompt: str = setting(doc="what should be there instead")
    mask: Mask | None = setting(None, doc="where it may change; none: everywhere")
    method: Method = setting("dds", doc="the guidance")
    settings: EditSettings = setting(doc="numbers of the optimisation")
    backbone: str = setting("demo", doc="id of an installed backbone, or its folder")
    size: tuple[int, int] | None = setting(
        None,
        doc="width and height the backbone works at; none: chosen from the clip's size",
        unit="px",
    )
    area_scale: float = setting(
        1.0,
        doc="area the backbone works at, as a share of its best one; ignored where size is set",
        minimum=LEAST_AREA_SCALE,
        maximum=4,
    )
    seed: int = setting(0, doc="seed of noise and timesteps", minimum=0, maximum=2**63 - 1)
    device: Device = setting("auto", doc="where the backbone runs")
    precision: Precision = setting("auto", doc="number format of the backbone's arithmetic")
    threads: int = setting(
        1, doc="CPU threads; part of the result's identity", minimum=1, maximum=256
    )
    movie: bool = setting(True, doc="also write edited.mp4 (H.264) to look at")
    lossless_movie: bool = setting(False, doc="also write edited.mkv (FFV1), pixel-exact")

    def __post_init__(self) -> None:
        check_limits(self)
        if self.version != JOB_VERSION:
            raise ProtocolError(
                f"The job has version {self.version}; this engine reads version {JOB_VERSION}.",
                hint="Make the job again with this version of Delta Strip.",
            )
        _check_prompt(self.source_prompt, "source", "what is in the clip, e.g. “a red car”")
        _check_prompt(self.target_prompt, "target", "what should be there, e.g. “a blue car”")
        _check_fps(*self.fps)
        if self.size is not None and not all(16 <= side <= MOST_SIDE_PX for side in self.size):
            raise InvalidJobError(
                f"The working size is {self.size[0]}×{self.size[1]} px; "
                f"at least 16×16, at most {MOST_SIDE_PX}×{MOST_SIDE_PX}."
            )

    @property
    def frame_count(self) -> int:
        """Number of frames of the clip, and so of the result."""
        return len(self.source.frames)

    def to_plain(self) -> dict[str, Any]:
        """The job as JSON's own types."""
        return to_plain(self)


def parse_job(text: str) -> EditJob:
    """The job in the text of a job.json.

    Raises:
        ProtocolError: not JSON, another version, an unknown or missing field.
        InvalidJobError: a value that cannot be honoured.
    """
    data = loads(text)
    if isinstance(data, dict) and data.get("version") != JOB_VERSION:
        raise ProtocolError(
            f"The job has version {data.get('version')!r}; this engine reads {JOB_VERSION}.",
            hint="Make the job again with this version of Delta Strip.",
        )
    return from_plain(EditJob, data)


def with_settings(settings: EditSettings, **changes: object) -> EditSettings:
    """A copy with some numbers changed; the same checks apply.

    A method's own numbers may be given as a mapping, which changes what it names and no more.
    """
    for name, value in changes.items():
        if isinstance(value, Mapping):
            own = getattr(settings, name)
            known = [field.name for field in dataclasses.fields(own)]
            for key in value:
                if key not in known:
                    raise InvalidJobError(
                        f"{name} has no setting {key!r}.",
                        hint=f"The settings are {', '.join(known)}.",
                    )
            changes[name] = dataclasses.replace(own, **value)
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def _check_prompt(prompt: str, what: str, example: str) -> None:
    if not prompt.strip():
        raise InvalidJobError(f"The {what} prompt is empty.", hint=f"Write {example}.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidJobError(
            f"The {what} prompt has {prompt[error.start]!r} at character {error.start + 1}, "
            "which is no character of Unicode.",
            hint="Write that character again.",
        ) from None


def _check_fps(numerator: int, denominator: int) -> None:
    if min(numerator, denominator) < 1:
        raise InvalidJobError(f"The frame rate is {numerator}/{denominator}; it must be positive.")
    if max(numerator, denominator) > MOST_FPS_TERM or numerator > MOST_FPS * denominator:
        raise InvalidJobError(
            f"The frame rate is {numerator}/{denominator}; at most {MOST_FPS} frames per second, "
            f"written with numbers up to {MOST_FPS_TERM}.",
            hint="Use a common rate, such as 24/1 or 30000/1001.",
        )
