# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of an edit: their fixed points and known values."""

import numpy as np
import pytest

from demo.sampling import sample_spec
from demo.spec import counterfactual
from demo.truth import (
    colour_progress,
    dilate,
    edge_halo,
    erode,
    flicker,
    iou,
    measure,
    psnr,
    regions,
    segment,
    trajectory_error_px,
)
from demo.world import render, render_backgrounds


def _edit(width=64, height=64, **change):
    spec = sample_spec(
        21, shape="ball", color="red", background="sky", motion="right", width=width, height=height
    )
    empty = np.stack(list(render_backgrounds(spec)))
    return render(spec), render(counterfactual(spec, **change)), empty


@pytest.mark.parametrize("size", [(64, 64), (320, 180)])
def test_an_untouched_clip_has_no_progress_and_the_exact_answer_has_all(size):
    source, target, empty = _edit(*size, color="blue")
    untouched = measure(source.frames, source, target, empty, "color")
    assert untouched.colour_progress == pytest.approx(0)
    assert untouched.background_psnr == pytest.approx(96, abs=0.1)
    exact = measure(target.frames, source, target, empty, "color")
    assert exact.colour_progress == pytest.approx(1)
    assert exact.colour_error == 0
    assert exact.truth_psnr == pytest.approx(96, abs=0.1)
    assert exact.trajectory_error_px < 0.2
    assert exact.missing_frames == 0
    assert exact.iou_target > 0.95
    assert exact.edge_halo == 0
    assert exact.flicker == 0


def test_half_the_way_to_the_colour_is_half_the_progress():
    source, target, _ = _edit(color="blue")
    core = regions(source.alpha, target.alpha).core
    half = source.frames * 0.5 + target.frames * 0.5
    assert colour_progress(half, source.frames, target.frames, core) == pytest.approx(0.5)


def test_a_shape_edit_is_judged_by_overlap_and_not_by_colour():
    source, target, empty = _edit(shape="star")
    exact = measure(target.frames, source, target, empty, "shape")
    assert exact.colour_progress is None
    assert exact.iou_target > 0.9
    assert exact.iou_source < 0.8


def test_a_background_edit_is_judged_by_the_background():
    source, target, empty = _edit(background="night")
    exact = measure(target.frames, source, target, empty, "background")
    assert exact.colour_progress == pytest.approx(1)
    assert exact.background_psnr is None
    assert exact.trajectory_error_px < 0.3
    untouched = measure(source.frames, source, target, empty, "background")
    assert untouched.colour_progress == pytest.approx(0)


def test_a_known_shift_is_the_trajectory_error():
    _, target, empty = _edit(color="blue")
    room = ((0, 0), (8, 8), (8, 8))
    found, alpha = np.pad(segment(target.frames, empty), room), np.pad(target.alpha, room)
    exact, _ = trajectory_error_px(found, alpha)
    shifted, _ = trajectory_error_px(np.roll(found, (3, 4), axis=(1, 2)), alpha)
    assert shifted == pytest.approx(5, abs=2 * exact)


def test_a_vanished_object_is_counted_as_missing():
    source, target, empty = _edit(color="blue")
    gone = measure(empty, source, target, empty, "color")
    assert gone.missing_frames == len(empty)
    assert gone.trajectory_error_px is None


def test_overlap_has_its_known_values():
    a, b = np.zeros((2, 1, 4, 4), bool)
    a[0, :2], b[0, 1:3] = True, True
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a, a) == 1
    assert iou(a, ~a) == 0
    assert iou(np.zeros_like(a), np.zeros_like(a)) == 1


def test_the_signal_to_noise_ratio_has_its_known_values_and_weights():
    a = np.zeros((1, 4, 4, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 255
    assert psnr(a, b) == pytest.approx(10 * np.log10(4))
    weights = np.zeros((1, 4, 4))
    weights[0, 0] = 1
    assert psnr(a, b, weights) == pytest.approx(0)
    assert psnr(a, b, 1 - weights) == pytest.approx(96, abs=0.1)


def test_growing_and_shrinking_reach_exactly_as_far_as_asked():
    mask = np.zeros((1, 11, 11), bool)
    mask[0, 5, 5] = True
    grown = dilate(mask, 3)
    assert grown.sum() == 49
    assert np.array_equal(erode(grown, 3), mask)
    assert erode(np.ones((1, 5, 5), bool), 2).all()
    assert np.array_equal(dilate(mask, 0), mask)


def test_a_halo_shows_at_the_edge_and_not_in_the_middle():
    source, target, _ = _edit(320, 180, color="blue")
    core = regions(source.alpha, target.alpha).core
    spoiled = target.frames.astype(np.float32)
    spoiled[core] += 50
    assert edge_halo(spoiled, target.frames, target.alpha) == 0
    assert edge_halo(target.frames + 2.0, target.frames, target.alpha) == pytest.approx(2)


def test_a_constant_error_does_not_flicker_but_an_alternating_one_does():
    _, target, _ = _edit(color="blue")
    sign = np.where(np.arange(8) % 2, 1.0, -1.0)[:, None, None, None]
    assert flicker(target.frames + 7.0, target.frames, target.alpha) == pytest.approx(0)
    assert flicker(target.frames + 3 * sign, target.frames, target.alpha) == pytest.approx(6)
