# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step of the training of the U-Net sees and how it counts errors."""

import numpy as np
import pytest
import torch

from demo.training.denoiser import cut, weighted_error, wrong_colours


def test_an_objects_places_count_more_in_the_error():
    squares, coverage = torch.full((2, 1, 2, 2), 0.1), torch.zeros(2, 1, 2, 2)
    squares[0, 0, 0, 0], coverage[:, 0, 0, 0] = 0.8, 1.0
    squares[0, 0, 1, 1], coverage[0, 0, 1, 1] = 0.4, 0.5
    # (4 · 0.8 + 2.5 · 0.4 + 0.1 + 0.1) / (4 + 2.5 + 1 + 1)
    expected = torch.tensor([4.4 / 8.5, 0.1])
    assert torch.allclose(weighted_error(squares, coverage, 4.0), expected)
    assert torch.allclose(weighted_error(squares, coverage, 1.0), squares.mean((1, 2, 3)))


@pytest.mark.parametrize("side", [4, 6, 20])
def test_single_frames_are_cut_to_squares_that_hold_the_objects_middle(side):
    count, height, width = 40, 8, 16
    coverage = torch.zeros(count, 1, height, width)
    rng = torch.Generator().manual_seed(1)
    places = [(int(torch.randint(8, (1,), generator=rng)), index % width) for index in range(count)]
    for index, (row, column) in enumerate(places):
        coverage[index, 0, row, column] = 1
    latents = coverage[:, :, None].expand(-1, 1, 4, -1, -1)
    pieces, shares = cut(latents, coverage, side, torch.Generator().manual_seed(2))
    assert pieces.shape == (count, 1, 4, min(side, height), min(side, width))
    assert torch.equal(pieces[:, :, 0], shares)
    assert (shares.sum((1, 2, 3)) == 1).all()
    if side < height:  # not always at the same place of the square
        assert len(shares[:, 0].flatten(1).argmax(1).unique()) > 4


def test_wrong_colours_are_one_of_the_object_and_one_of_what_is_around_it():
    count, spread, timestep = 1200, 1.6, 400
    coverage = torch.zeros(count, 3, 4, 6)
    coverage[:, :, 1:3, 1:4] = 1
    captioned = torch.arange(count) % 4 > 0
    timesteps, generator = torch.full((count,), timestep), torch.Generator().manual_seed(1)
    added = wrong_colours(coverage, timesteps, captioned, spread, generator)
    assert added.shape == (count, 3, 4, 4, 6)
    assert not added[~captioned].any()  # nothing would tell the right one
    added, coverage = added[captioned], coverage[captioned]
    inside, outside = added[:, 0, :, 1, 1], added[:, 0, :, 0, 0]
    spread_out = [colour[:, None, :, None, None] for colour in (inside, outside)]
    assert torch.equal(added, torch.where(coverage[:, :, None] > 0, *spread_out))
    # The same as that much in the clean latents, which are noised to sqrt(ᾱ) z + sqrt(1 - ᾱ) ε.
    alpha_bar = np.prod(1 - np.linspace(1e-4, 2e-2, 1000)[: timestep + 1])
    expected = spread * (alpha_bar / (1 - alpha_bar)) ** 0.5
    for colours, share in ((inside, 0.5), (outside, 0.25)):
        moved = colours.any(1)
        assert float(moved.float().mean()) == pytest.approx(share, abs=0.05)
        assert float(colours[moved].std()) == pytest.approx(expected, rel=0.1)


def test_wrong_colours_mix_at_the_objects_edge_and_are_limited_in_little_noise():
    captioned, count = torch.ones(500, dtype=torch.bool), 500
    added = [
        wrong_colours(
            torch.full((count, 1, 1, 1), share),
            torch.full((count,), timestep),
            captioned,
            1.0,
            torch.Generator().manual_seed(2),
        )
        for share, timestep in ((1.0, 0), (0.0, 0), (0.5, 0), (1.0, 10))
    ]
    assert torch.allclose(added[2], (added[0] + added[1]) / 2)
    assert torch.equal(added[3], added[0])
    assert float(added[0][added[0] != 0].std()) == pytest.approx(1.5, rel=0.1)
