# SPDX-License-Identifier: GPL-3.0-or-later
"""What `edit_quality` measures of an edited clip; every figure knows the exact answer.

- reached: 1 when the clip is nearer to the exact answer than to what any other value of the
  attribute would look like. Colour: mean colour of the object's core. Background: mean colour away
  from the object. Shape: overlap of what differs from the empty background with the object.
- progress: how far the mean colour went, or for shapes the overlap with the right shape grew: 0 not
  at all, 1 as in the exact answer.
- kept_psnr: of what should not change (the picture well away from the object; in edits of the
  background the object's core) against what the edit started from. 96 dB is equality.
- truth_psnr, trajectory_error_px: as in demo/truth.py; a frame without its object is 32 px off its
  path.
- iou_kept, iou_new: overlap of the object with the true one. In edits that keep the shape that is
  the source's own; in edits of the shape it is the new one. The other figure is None.
- flicker: mean absolute change from frame to frame of the error where the edit belongs, each frame
  divided by its light. Error against the clip that lies as far as this one on the way from the
  start to the exact answer: motion, camera and light are in that clip too and cancel, and an edit
  that is not complete does not flicker for that.
- saturation: mean over the picture of (largest − smallest channel), above that of the same clip on
  the way, at most the exact answer.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.demo_edits import Levels, Subject, figures
from demo.backgrounds import BACKGROUNDS
from demo.shapes import SHAPES
from demo.spec import COLORS, ClipSpec, counterfactual
from demo.truth import Kind, Mask, flicker, iou, mean_colour, psnr, regions, segment
from demo.world import Clip, render

FIGURES = (
    "reached",
    "progress",
    "kept_psnr",
    "truth_psnr",
    "trajectory_error_px",
    "iou_kept",
    "iou_new",
    "flicker",
    "saturation",
)


def measured(given: Subject, edited: Levels, start: Levels) -> dict[str, float | None]:
    """Every figure of `FIGURES`; None: not of this kind of edit.

    Args:
        given: The edit.
        edited: Its result, levels.
        start: What the edit began with: the source, or the source after the autoencoder.
    """
    kind, target = given.case.kind, given.target
    known = figures(kind, edited, start, given.source, target, given.empty)
    where = changed_region(given).astype(np.float32)
    progress = _progress(given, edited, start, known)
    light = target.light[:, None, None, None]
    on_the_way = _between(start, target.frames, progress)
    saturation = _saturation(_between(start, target.frames, min(max(progress, 0.0), 1.0)))
    found = {
        "reached": float(nearest(given, edited) == getattr(given.case.target, kind)),
        "progress": progress,
        "kept_psnr": psnr(edited, start, kept_region(given)),
        "flicker": flicker(edited / light, on_the_way / light, where),
        "saturation": _saturation(edited) - saturation,
    } | {name: known[name] for name in ("truth_psnr", "trajectory_error_px")}
    found["iou_new" if kind == "shape" else "iou_kept"] = known["iou_target"]
    return {name: round(found[name], 3) if name in found else None for name in FIGURES}


def changed_region(given: Subject) -> Mask:
    """Pixels that surely show the attribute."""
    parts = regions(given.source.alpha, given.target.alpha)
    return parts.outside if given.case.kind == "background" else parts.core


def kept_region(given: Subject) -> Mask:
    """Pixels that surely should not change."""
    parts = regions(given.source.alpha, given.target.alpha)
    return parts.core if given.case.kind == "background" else parts.outside


def nearest(given: Subject, edited: Levels) -> str:
    """Which value of the attribute the clip looks like; rule `reached`."""
    spec, kind = given.case.source, given.case.kind
    answers = _answers(spec, kind)
    if kind == "shape":
        found = _segmented(given, edited)
        return max(answers, key=lambda value: iou(found, answers[value].alpha > 0.5))
    region = changed_region(given)
    seen = mean_colour(edited, region)

    def distance(value: str) -> float:
        return float(np.linalg.norm(seen - mean_colour(answers[value].frames, region)))

    return min(answers, key=distance)


@lru_cache(maxsize=2)
def _answers(spec: ClipSpec, kind: Kind) -> dict[str, Clip]:
    """The clip with every value of an attribute."""
    if kind == "color":
        return {name: render(counterfactual(spec, color=name)) for name in COLORS}
    if kind == "shape":
        return {name: render(counterfactual(spec, shape=name)) for name in SHAPES}
    return {name: render(counterfactual(spec, background=name)) for name in BACKGROUNDS}


def _segmented(given: Subject, frames: Levels) -> Mask:
    """Where the object is, among what differs from the empty background."""
    nearby = regions(given.source.alpha, given.target.alpha).nearby
    return segment(frames, given.empty) & nearby


def _progress(given: Subject, edited: Levels, start: Levels, known: dict[str, float]) -> float:
    if given.case.kind != "shape":
        return known["colour_progress"]
    goal = given.target.alpha > 0.5
    before, now, best = (
        iou(_segmented(given, frames), goal) for frames in (start, edited, given.target.frames)
    )
    return (now - before) / (best - before)


def _between(start: Levels, end: Levels, share: float) -> NDArray[np.float64]:
    return start + share * (end.astype(np.float64) - start)


def _saturation(frames: NDArray[np.number]) -> float:
    return float(np.mean(frames.max(axis=-1).astype(np.float64) - frames.min(axis=-1)))
