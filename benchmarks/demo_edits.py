# SPDX-License-Identifier: GPL-3.0-or-later
"""One edit of a procedural clip on a backbone, measured against its exact counterfactual.

Used by both benchmarks of edits: `demo_model` (gates of the demo backbone) and `edit_quality`
(methods against each other).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from demo.backgrounds import BACKGROUNDS, Background
from demo.grammar import caption
from demo.sampling import sample_any, sample_spec
from demo.shapes import SHAPES, Shape
from demo.spec import COLORS, ClipSpec, Color, counterfactual
from demo.truth import Kind, measure, psnr, regions
from demo.world import Clip as TrueClip
from demo.world import magnification, render, render_backgrounds
from engine.backbones.base import Backbone
from engine.editing.composite import composite
from engine.editing.edit import Edit
from engine.editing.smoothing import steadied
from engine.editing.state import Clip, EditState
from engine.job import EditSettings
from engine.video.masks import latent_mask

Levels = NDArray[np.uint8]
Name = TypeVar("Name")
# Before these backgrounds nobody could tell an object of that colour.
_HIDDEN = {"grass": "green", "night": "black", "sand": "yellow", "water": "blue"}
# Radius of the loose circle that an editor draws around an object to change its shape, in radii of
# the object: no shape reaches farther.
_CIRCLE = 1.3
# Trajectory error of a frame in which the object was not found: half the picture, px.
LOST_PX = 32.0
# What the exact answer must reach in these measures, or they cannot judge the edit: a white object
# before white clouds is not told from them.
_MEASURABLE_IOU, _MEASURABLE_PX = 0.85, 0.5
_DRAWS = 50
# Picture sizes of the clips outside the study's world.
_WIDE_SIZES = ((64, 64), (80, 48), (48, 80))


@dataclass(frozen=True)
class EditCase:
    """A source clip and what it shall become."""

    kind: Kind
    seed: int
    source: ClipSpec
    target: ClipSpec


@dataclass(frozen=True)
class EditRow:
    """One edit's figures: without edit, of the exact answer, plain decode and product's output."""

    kind: str
    seed: int
    source: str
    target: str
    steps: int
    progress: float
    seconds: float
    untouched: dict[str, float]
    exact: dict[str, float]
    plain: dict[str, float]
    product: dict[str, float]


@dataclass(frozen=True)
class Subject:
    """An edit's clip on a backbone: pixels, ground truth and latents.

    Attributes:
        case: The edit.
        source: The clip, rendered.
        target: The exact answer, rendered.
        empty: The clip without its object, levels.
        frames: The clip, `(frames, 3, H, W)` in [0, 1].
        mask: The editor's mask, `(frames, 1, H, W)` in [0, 1].
        z_source: Latents of the clip.
        before: What the autoencoder makes of the clip, `(frames, 3, H, W)` in [0, 1].
    """

    case: EditCase
    source: TrueClip
    target: TrueClip
    empty: Levels
    frames: Tensor
    mask: Tensor
    z_source: Tensor
    before: Tensor

    def latents(self, factor: int, *, masked: bool = True) -> Clip:
        """What the optimisation starts from; without a mask everything may change."""
        mask = latent_mask(self.mask[:, 0], factor)[:, None]
        return Clip(
            z_source=self.z_source,
            mask=mask if masked else torch.ones_like(mask),
            media_frames=tuple(range(len(self.frames))),
        )


def subject(backbone: Backbone, edit_case: EditCase) -> Subject:
    """Render and encode an edit's clip."""
    source = render(edit_case.source)
    frames = torch.from_numpy(source.frames).permute(0, 3, 1, 2).float() / 255
    z_source = backbone.encode(frames)
    return Subject(
        case=edit_case,
        source=source,
        target=render(edit_case.target),
        empty=np.stack(list(render_backgrounds(edit_case.source))),
        frames=frames,
        mask=torch.from_numpy(editors_mask(edit_case, source))[:, None],
        z_source=z_source,
        before=backbone.decode(z_source),
    )


def everything(seed: int) -> Callable[[int], ClipSpec]:
    """Draws from all the world has: cameras, light, second objects, a seed's aspect ratio."""
    width, height = _WIDE_SIZES[seed % len(_WIDE_SIZES)]
    return partial(sample_any, width=width, height=height)


def case(
    kind: Kind,
    seed: int,
    *,
    sample: Callable[[int], ClipSpec] = sample_spec,
    found_before: bool = False,
) -> EditCase:
    """The edit of a seed: everything about the clip and the new attribute is drawn from it.

    Drawn again where the measures could not judge even the exact answer.

    Args:
        kind: What changes.
        seed: Of the clip and of the change.
        sample: The clip of a seed; by default the study's kind: one object, still camera, 64 × 64.
        found_before: Demand that the measures find the object in the unedited clip, too.
    """
    for draw in range(_DRAWS):
        # The first draw has the seed itself; the later ones are far from all seeds in use.
        found = _draw(kind, seed, seed + 10_000_000_000 * draw, sample)
        if _is_measurable(found, found_before):
            return found
    raise ValueError(f"no edit of seed {seed} can be measured")


def _is_measurable(found: EditCase, found_before: bool) -> bool:
    exact = exact_figures(found)
    trajectory = exact["trajectory_error_px"]
    if exact["iou_target"] < _MEASURABLE_IOU or trajectory > _MEASURABLE_PX:
        return False
    # A shape's centre of gravity is another one after the edit, but its old outline is known.
    return not found_before or untouched_figures(found)["iou_source"] >= _MEASURABLE_IOU


def _draw(kind: Kind, seed: int, clip_seed: int, sample: Callable[[int], ClipSpec]) -> EditCase:
    source = sample(clip_seed)
    rng = np.random.Generator(np.random.PCG64([clip_seed, 13]))
    if kind == "color":
        taken = {source.color, _HIDDEN.get(source.background)}
        taken |= {source.companion.color} if source.companion else set()
        colors: list[Color] = [name for name in COLORS if name not in taken]
        return EditCase(kind, seed, source, counterfactual(source, color=_pick(rng, colors)))
    if kind == "shape":
        shapes: list[Shape] = [name for name in SHAPES if name != source.shape]
        return EditCase(kind, seed, source, counterfactual(source, shape=_pick(rng, shapes)))
    fits: list[Background] = [
        name
        for name in BACKGROUNDS
        if name != source.background and _HIDDEN.get(name) != source.color
    ]
    return EditCase(kind, seed, source, counterfactual(source, background=_pick(rng, fits)))


def exact_figures(edit_case: EditCase) -> dict[str, float]:
    """The figures of the exact answer: what the measures give at best."""
    target = render(edit_case.target)
    return _true_figures(edit_case, target, target.frames)


def untouched_figures(edit_case: EditCase) -> dict[str, float]:
    """The figures of the source itself."""
    return _true_figures(edit_case, render(edit_case.target), render(edit_case.source).frames)


def _true_figures(edit_case: EditCase, target: TrueClip, edited: Levels) -> dict[str, float]:
    source = render(edit_case.source)
    empty = np.stack(list(render_backgrounds(edit_case.source)))
    return figures(edit_case.kind, edited, source.frames, source, target, empty)


def _pick(rng: np.random.Generator, names: list[Name]) -> Name:
    return names[int(rng.integers(len(names)))]


def editors_mask(edit_case: EditCase, source: TrueClip) -> NDArray[np.float32]:
    """The mask an editor would draw (frames, h, w): object, circle around it, or all but it."""
    if edit_case.kind == "background":
        return 1 - source.alpha
    if edit_case.kind == "color":
        return source.alpha
    spec = edit_case.source
    columns, rows = np.arange(spec.width) + 0.5, np.arange(spec.height) + 0.5
    distances = [np.hypot(columns[None] - x, rows[:, None] - y) for x, y in source.centres]
    reach = _CIRCLE * spec.radius * spec.short_side_px * magnification(spec)
    return (np.stack(distances) < reach[:, None, None]).astype(np.float32)


def run_edit(
    backbone: Backbone, edit_case: EditCase, settings: EditSettings
) -> tuple[EditRow, list[Levels]]:
    """One edit with noise seed 0; also its picture rows: source, plain decode, product, truth."""
    kind, given = edit_case.kind, subject(backbone, edit_case)
    source, target, empty = given.source, given.target, given.empty
    start = time.monotonic()
    edit = Edit(
        backbone,
        given.latents(backbone.latent_factor),
        source_prompt=caption(edit_case.source),
        target_prompt=caption(edit_case.target),
        settings=settings,
        seed=0,
    )
    state = optimise(edit)
    seconds = time.monotonic() - start
    plain, product = outputs(backbone, given, state.z_average, settings.smoothing_frames)
    reconstruction = levels(given.before)
    row = EditRow(
        kind=kind,
        seed=edit_case.seed,
        source=caption(edit_case.source),
        target=caption(edit_case.target),
        steps=state.step,
        progress=round(state.progress, 3),
        seconds=round(seconds, 1),
        untouched=figures(kind, reconstruction, reconstruction, source, target, empty),
        exact=exact_figures(edit_case),
        plain=figures(kind, plain, reconstruction, source, target, empty),
        product=figures(kind, product, source.frames, source, target, empty),
    )
    return row, [source.frames, plain, product, target.frames]


def optimise(edit: Edit) -> EditState:
    """The optimisation, all of it."""
    state = edit.start()
    while not state.is_finished:
        state = edit.advance(state)
    return state


def outputs(
    backbone: Backbone, given: Subject, latents: Tensor, smoothing_frames: int
) -> tuple[Levels, Levels]:
    """Plain decode of edited latents, and what the product makes of them.

    The product steadies the decoded difference over time and composites it with the mask.
    """
    decoded = backbone.decode(latents)
    pairs = zip(decoded.split(1), given.before.split(1), strict=True)
    steady = torch.cat([after for after, _ in steadied(pairs, smoothing_frames)])
    return levels(decoded), levels(composite(given.frames, steady, given.before, given.mask))


def figures(
    kind: Kind, edited: Levels, start: Levels, source: TrueClip, target: TrueClip, empty: Levels
) -> dict[str, float]:
    """The measures that mean something for this kind of edit.

    A frame without its object counts as 32 px off its path.
    """
    found = asdict(measure(edited, source, target, empty, kind, start=start))
    if kind != "background":
        outside = regions(source.alpha, target.alpha).outside
        found["background_psnr_rec"] = psnr(edited, start, outside)
    missing, frames = found["missing_frames"], len(edited)
    kept = (found["trajectory_error_px"] or 0.0) * (frames - missing)
    found["trajectory_error_px"] = (kept + LOST_PX * missing) / frames
    return {name: round(float(value), 3) for name, value in found.items() if value is not None}


def levels(frames: Tensor) -> Levels:
    """`(n, 3, h, w)` in [0, 1] → uint8 `(n, h, w, 3)`."""
    return (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
