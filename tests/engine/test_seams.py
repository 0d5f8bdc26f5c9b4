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

FRAMES, SIDE_PX, STEPS = 24, 48, 5
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(find_backbone("demo"), device=torch.device("cpu"), dtype=torch.float32)


def jumps(backbone, phase_of, seed):
    """How far the edit changes from frame to frame: at the last step's borders, and elsewhere.

    Few and large steps, and nothing averaged or steadied: the latents themselves, right after the
    last step, as much at its windows' mercy as they ever are.
    """
    source, target = ball(FRAMES, SIDE_PX, SIDE_PX)
    frames = torch.from_numpy(render(source).frames).permute(0, 3, 1, 2) / 255
    z_source = backbone.encode(frames)
    mask = torch.ones(FRAMES, 1, *z_source.shape[2:])
    settings = replace(
        backbone.card.recommended("dds"),
        steps=STEPS,
        step_rule="fixed",
        effective_step=0.3,
        averaging=0.0,
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
    windows = tile(FRAMES, length, phase_of(seed, STEPS - 1, length))
    borders = {w.start for w in windows[1:]} | {w.stop for w in windows[:-1]}
    is_border = torch.tensor([frame in borders for frame in range(1, FRAMES)])
    found = (change[1:] - change[:-1]).flatten(1).norm(dim=1)
    return found[is_border], found[~is_border]


def test_borders_of_windows_do_not_stand_out_from_the_edit(backbone):
    found = [jumps(backbone, draw_phase, seed) for seed in SEEDS]
    assert fmean(float(borders.mean() / inside.mean()) for borders, inside in found) < 1.2
    assert max(borders.max() for borders, _ in found) <= max(inside.max() for _, inside in found)


def test_borders_that_never_moved_would_stand_out(backbone, monkeypatch):
    """The measure sees a seam where there is one."""
    monkeypatch.setattr(loop, "draw_phase", lambda *_: 0)
    found = [jumps(backbone, loop.draw_phase, seed) for seed in SEEDS]
    assert fmean(float(borders.mean() / inside.mean()) for borders, inside in found) > 1.3
