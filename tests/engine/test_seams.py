# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip of several windows has no seam where one window ends and the next begins."""

from dataclasses import replace
from statistics import fmean

import pytest
import torch

from demo.grammar import caption
from demo.world import render
from engine.backbones.loading import load_backbone
from engine.editing import edit as loop
from engine.editing.edit import Edit
from engine.editing.state import Clip
from engine.editing.windows import tile
from engine.guidance.randomness import draw_phase
from engine.registry import find_backbone
from tests.engine.clips import ball

FRAMES, SIDE_PX = 24, 48
SEEDS = (1, 2, 3, 4, 5, 6)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(find_backbone("demo"), device=torch.device("cpu"), dtype=torch.float32)


def jumps(backbone, phase_of, seed, *, averaging=0.0):
    """How far the edit changes from frame to frame: at the last step's borders, and elsewhere.

    Few and large steps, and nothing steadied. Without averaging these are the latents right after
    the last step, as much at its windows' mercy as they ever are; a mean needs a few steps more.
    """
    steps = 10 if averaging else 5
    source, target = ball(FRAMES, SIDE_PX, SIDE_PX)
    frames = torch.from_numpy(render(source).frames).permute(0, 3, 1, 2) / 255
    z_source = backbone.encode(frames)
    mask = torch.ones(FRAMES, 1, *z_source.shape[2:])
    settings = replace(
        backbone.card.recommended("dds"),
        steps=steps,
        step_rule="fixed",
        effective_step=0.3,
        averaging=averaging,
        use_stopping_rule=False,
    )
    edit = Edit(
        backbone,
        Clip(z_source=z_source, mask=mask, media_frames=tuple(range(FRAMES))),
        source_prompt=caption(source),
        target_prompt=caption(target),
        settings=settings,
        seed=seed,
    )
    state = edit.start()
    while not state.is_finished:
        state = edit.advance(state)
    change = state.z_average - z_source
    assert change.abs().max() > 1  # the object has another colour by now
    length = backbone.card.window_frames
    windows = tile(FRAMES, length, phase_of(seed, steps - 1, length))
    borders = {w.start for w in windows[1:]} | {w.stop for w in windows[:-1]}
    is_border = torch.tensor([frame in borders for frame in range(1, FRAMES)])
    found = (change[1:] - change[:-1]).flatten(1).norm(dim=1)
    return found[is_border], found[~is_border]


def standing_out(backbone, phase_of):
    """How much farther the edit jumps at borders than elsewhere, and at which share of the borders
    it jumps farther than anywhere else."""
    found = [jumps(backbone, phase_of, seed) for seed in SEEDS]
    ratio = fmean(float(borders.mean() / inside.mean()) for borders, inside in found)
    farther = torch.cat([borders > inside.max() for borders, inside in found])
    return ratio, float(farther.float().mean())


def test_borders_of_windows_do_not_stand_out_from_the_edit(backbone):
    """As the demo model is edited: with the recommended averaging."""
    averaging = backbone.card.recommended("dds").averaging
    found = [jumps(backbone, draw_phase, seed, averaging=averaging) for seed in SEEDS]
    assert fmean(float(borders.mean() / inside.mean()) for borders, inside in found) < 1.1
    assert max(borders.max() for borders, _ in found) <= max(inside.max() for _, inside in found)


def test_borders_of_the_last_step_hardly_stand_out_before_averaging(backbone):
    """Fewer than half have a jump farther than all inside; of borders that never move, most."""
    ratio, farthest = standing_out(backbone, draw_phase)
    assert ratio < 1.2
    assert farthest < 1 / 2


def test_borders_that_never_moved_would_stand_out(backbone, monkeypatch):
    """The measure sees a seam where there is one."""
    monkeypatch.setattr(loop, "draw_phase", lambda *_: 0)
    ratio, farthest = standing_out(backbone, loop.draw_phase)
    assert ratio > 1.3
    assert farthest > 3 / 4
