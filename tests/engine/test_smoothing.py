# SPDX-License-Identifier: GPL-3.0-or-later
"""Steadying compares an edit with itself over time, and with nothing else."""

import numpy as np
import torch

from engine.editing.smoothing import steadied

FRAMES, H, W = 9, 12, 30


def moving_square(frame):
    """A bright square that moves three pixels a frame over a dark ground, and its coverage."""
    inside = torch.zeros(1, 1, H, W)
    inside[..., 3:9, 3 * frame : 3 * frame + 6] = 1
    return (0.2 + 0.6 * inside).expand(1, 3, H, W), inside


def pairs(noise=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for frame in range(FRAMES):
        source, inside = moving_square(frame)
        flicker = noise * torch.randn(1, 3, 1, 1, generator=generator)
        yield source + inside * (torch.tensor([-0.5, 0.0, 0.1]).view(1, 3, 1, 1) + flicker), source


def still_pairs(noise=0.1):
    for (target, source), (first, still) in zip(
        pairs(noise), [next(pairs(0))] * FRAMES, strict=True
    ):
        shift = (target - source).amax((2, 3), keepdim=True) + (target - source).amin(
            (2, 3), keepdim=True
        )
        yield still + (first - still != 0) * shift, still


def changes(found):
    differences = torch.stack([target - source for target, source in found])
    return float((differences[1:] - differences[:-1]).abs().mean())


def test_no_radius_leaves_every_number_as_it_is():
    for (found, _), (given, _) in zip(steadied(pairs(), 0), pairs(), strict=True):
        assert torch.equal(found, given)


def test_flicker_of_a_still_object_falls_to_less_than_half():
    assert changes(steadied(still_pairs(), 3)) < 0.5 * changes(still_pairs())


def test_equal_decodings_stay_bit_equal():
    same = [(source, source) for _, source in pairs()]
    for target, source in steadied(same, 3):
        assert torch.equal(target, source)


def test_what_a_moving_object_uncovers_is_not_tinted():
    for frame, (target, source) in enumerate(steadied(pairs(noise=0.0), 3)):
        _, inside = moving_square(frame)
        tint = ((target - source) * (1 - inside)).abs().max()
        assert float(tint) < 1e-3
        kept = ((target - source)[:, 0] * inside[:, 0]).amin()
        assert float(kept) < -0.49


def test_a_rim_that_is_edited_less_is_not_drawn_across_a_moving_object():
    def with_rims():
        for frame, (target, source) in enumerate(pairs(noise=0.0)):
            share = torch.ones(1, 1, H, W)
            share[..., 3 * frame] = 0.2
            yield source + (target - source) * share, source

    for frame, (target, source) in enumerate(steadied(with_rims(), 3)):
        inside = (target - source)[0, 0, 4, 3 * frame + 1 : 3 * frame + 6]
        assert float(inside.max()) < -0.49


def test_the_median_is_the_weighted_one():
    def frames():
        for change in (0.1, 0.16, 0.13):
            source = torch.zeros(1, 3, 2, 2)
            yield source + change, source

    found = [float((target - source).mean()) for target, source in steadied(frames(), 1)]
    assert np.allclose(found, [0.1, 0.13, 0.13])


def test_what_an_edit_moves_before_an_unchanging_ground_is_kept():
    def frames():
        ground = torch.full((1, 3, H, W), 0.2)
        for frame in range(FRAMES):
            yield moving_square(frame)[0], ground  # a square where there was none

    for (target, _), (given, _) in zip(steadied(frames(), 3), frames(), strict=True):
        assert torch.allclose(target, given, atol=1e-6)


def test_every_frame_comes_back_once_and_in_order_also_when_the_clip_is_short():
    for count in (1, 2, 3, 7):
        given = list(pairs())[:count]
        found = list(steadied(given, 3))
        assert len(found) == count
        assert all(torch.equal(a[1], b[1]) for a, b in zip(found, given, strict=True))


def test_frames_are_read_only_as_far_ahead_as_needed():
    read = []

    def counting():
        for number, pair in enumerate(pairs()):
            read.append(number)
            yield pair

    next(steadied(counting(), 2))
    assert read == [0, 1, 2]
