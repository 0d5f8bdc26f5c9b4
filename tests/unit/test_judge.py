# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that judge sampled clips, held to clips whose content is known."""

import numpy as np
import pytest

from demo.judge import find_motion, judge
from demo.sampling import sample_spec
from demo.world import render, render_backgrounds

SEEDS = range(60_000, 60_016)


def _blurred(frames):
    """Roughly what an autoencoder leaves: a 3 x 3 mean."""
    padded = np.pad(frames.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    h, w = frames.shape[1:3]
    return sum(padded[:, y : y + h, x : x + w] for y in range(3) for x in range(3)) / 9


@pytest.mark.parametrize("spoil", [lambda frames: frames, _blurred], ids=["sharp", "blurred"])
def test_rendered_clips_are_judged_as_they_are(spoil):
    specs = [sample_spec(seed) for seed in SEEDS]
    verdicts = [judge(spoil(render(spec).frames)) for spec in specs]
    for name, least in (("background", 1.0), ("color", 0.98), ("shape", 0.9), ("motion", 0.95)):
        right = [getattr(v, name) == getattr(s, name) for v, s in zip(verdicts, specs, strict=True)]
        assert np.mean(right) >= least, name


def test_a_clip_without_its_object_has_none():
    for seed in SEEDS[:12]:
        empty = np.stack(list(render_backgrounds(sample_spec(seed))))
        assert judge(empty).color is None


def test_an_object_that_jitters_stands_still():
    rng = np.random.Generator(np.random.PCG64(1))
    assert find_motion(32 + rng.normal(0, 0.3, (8, 2))) == "still"
