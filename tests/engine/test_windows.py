# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows cover every frame, have one length, and average with positive weights."""

import pytest
import torch

from engine.editing.windows import WindowAverage, spread, tile


@pytest.mark.parametrize("frame_count", [1, 5, 8, 9, 37, 160])
@pytest.mark.parametrize("phase", range(8))
def test_windows_of_one_length_cover_every_frame(frame_count, phase):
    windows = tile(frame_count, 8, phase)
    assert {len(window) for window in windows} == {min(8, frame_count)}
    assert {i for window in windows for i in window} == set(range(frame_count))


@pytest.mark.parametrize("phase", range(8))
def test_a_tiling_costs_about_one_pass_over_the_clip(phase):
    assert len(tile(160, 8, phase)) <= 160 // 8 + 1


def test_a_single_window_does_not_depend_on_the_phase():
    assert all(tile(8, 8, phase) == [range(8)] for phase in range(8))


def test_averaging_equal_values_gives_that_value():
    average = WindowAverage(torch.zeros(11, 2, 3, 3))
    for window in tile(11, 4, 3):
        average.add(window, torch.full((4, 2, 3, 3), 0.7))
    assert torch.allclose(average.mean(), torch.full((11, 2, 3, 3), 0.7), atol=1e-7)


def test_the_middle_of_a_window_counts_more_than_its_rim():
    average = WindowAverage(torch.zeros(6, 1, 1, 1))
    average.add(range(4), torch.zeros(4, 1, 1, 1))
    average.add(range(2, 6), torch.ones(4, 1, 1, 1))
    mean = average.mean().flatten().tolist()
    assert mean[2] == pytest.approx(1 / 3)  # third of the first window (2), first of the second (1)
    assert mean[3] == pytest.approx(2 / 3)


def test_spread_keeps_the_ends():
    windows = tile(160, 8, 0)
    chosen = spread(windows, 3)
    assert chosen == [windows[0], windows[10], windows[-1]] or chosen == [
        windows[0],
        windows[9],
        windows[-1],
    ]
    assert spread(windows, 1) == [windows[10]]
    assert spread(windows[:2], 3) == windows[:2]
