# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks: exact zeros stay exact, misfits are told, a mask that covers nothing is refused."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import MaskError
from engine.media import Mask, Media
from engine.video.masks import latent_mask, mask_coverage, read_masks
from engine.video.writing import MovieWriter

SIZE = {"width": 64, "height": 48}


class Warnings(list):
    def __call__(self, message, hint):
        assert message
        assert hint
        self.append(message)


def images(folder, pictures, **values):
    names = []
    for index, picture in enumerate(pictures):
        names.append(f"{index}.png")
        Image.fromarray(picture).save(folder / names[-1])
    media = Media(
        path=str(folder), kind="images", frames=tuple(range(len(names))), files=tuple(names)
    )
    return Mask(media=media, **values)


def blob(width=64, height=48):
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2
    return (inside * np.uint8(255)).astype(np.uint8)


def weights_of(mask, folder, *, frame_count=1, warn=None, **size):
    size = {**SIZE, **size}
    warn = Warnings() if warn is None else warn
    return [w.copy() for w in read_masks(mask, folder, frame_count=frame_count, warn=warn, **size)]


def test_white_is_one_and_black_is_zero_exactly(tmp_path):
    (weights,) = weights_of(images(tmp_path, [blob()]), tmp_path)
    assert weights.dtype == np.float32
    assert np.array_equal(weights, (blob() / 255).astype(np.float32))


def test_inverting_swaps_exact_zeros_and_ones(tmp_path):
    white = np.full((48, 64, 3), 255, np.uint8)
    white[:, :20] = 0
    (weights,) = weights_of(images(tmp_path, [white], invert=True), tmp_path)
    assert (weights[:, :20] == 1).all()
    assert (weights[:, 20:] == 0).all()


def test_luma_weighs_colours_as_rec_709(tmp_path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :20, 0] = 255
    picture[:, 20:40, 1] = 255
    picture[:, 40:, 2] = 255
    (weights,) = weights_of(images(tmp_path, [picture]), tmp_path)
    assert weights[0, [0, 20, 40]] == pytest.approx([0.2126, 0.7152, 0.0722])


def test_alpha_can_be_the_mask(tmp_path):
    picture = np.full((48, 64, 4), 255, np.uint8)
    picture[:, :, 3] = blob()
    (weights,) = weights_of(images(tmp_path, [picture], channel="alpha"), tmp_path)
    assert np.array_equal(weights, (blob() / 255).astype(np.float32))


def test_alpha_that_does_not_exist_is_refused(tmp_path):
    mask = images(tmp_path, [blob()], channel="alpha")
    with pytest.raises(MaskError, match="no alpha"):
        weights_of(mask, tmp_path)


@pytest.mark.parametrize("feather", [0.5, 1, 3.7, 12])
@pytest.mark.parametrize("invert", [False, True])
def test_a_feather_goes_inward_only(tmp_path, feather, invert):
    mask = images(tmp_path, [blob()], feather_px=feather, invert=invert)
    (weights,) = weights_of(mask, tmp_path)
    hard = (blob() == 0) if invert else (blob() > 0)
    assert (weights[~hard] == 0).all()
    assert (weights >= 0).all()
    assert (weights <= 1).all()


def test_a_feather_rises_from_the_edge_to_exactly_one(tmp_path):
    mask = Mask(box=(16, 0, 48, 48), feather_px=8)
    (weights,) = weights_of(mask, tmp_path)
    ramp = weights[24, 16:26]
    assert (np.diff(ramp[:9]) > 0).all()
    assert ramp[0] < 0.2
    assert (weights[:, 24:] == 1).all()  # also at the picture's rim, which is no edge
    assert (weights[:, :16] == 0).all()


def test_a_feather_does_not_dissolve_a_grey_mask(tmp_path):
    grey = np.full((48, 64), 128, np.uint8)
    (weights,) = weights_of(images(tmp_path, [grey], feather_px=5), tmp_path)
    assert weights == pytest.approx(128 / 255)


def test_the_last_frame_of_a_short_mask_is_held_with_one_warning(tmp_path):
    warn = Warnings()
    mask = images(tmp_path, [blob(), 255 - blob()])
    weights = weights_of(mask, tmp_path, frame_count=5, warn=warn)
    assert len(weights) == 5
    assert all(np.array_equal(w, weights[1]) for w in weights[2:])
    assert not np.array_equal(weights[0], weights[1])
    assert len(warn) == 1
    assert "2 frames, the clip 5" in warn[0]


def test_frames_beyond_the_clip_are_left_out_silently(tmp_path):
    warn = Warnings()
    assert len(weights_of(images(tmp_path, [blob()] * 4), tmp_path, frame_count=2, warn=warn)) == 2
    assert warn == []


@pytest.mark.parametrize("size", [(128, 96), (32, 24), (639, 480)])
def test_another_size_of_the_same_shape_is_resized_with_one_warning(tmp_path, size):
    warn = Warnings()
    mask = images(tmp_path, [blob(*size)] * 2)
    weights = weights_of(mask, tmp_path, frame_count=2, warn=warn)
    assert all(w.shape == (48, 64) for w in weights)
    assert weights[0].mean() == pytest.approx(blob().mean() / 255, abs=0.02)
    assert (weights[0][:4] == 0).all()
    assert (weights[0][22:26, 30:34] == 1).all()
    assert len(warn) == 1


def test_a_resized_white_mask_inverts_to_exact_zeros(tmp_path):
    mask = images(tmp_path, [np.full((37, 49), 255, np.uint8)], invert=True)
    (weights,) = weights_of(mask, tmp_path, width=653, height=493)
    assert (weights == 0).all()


def test_another_shape_is_refused_with_both_sizes(tmp_path):
    with pytest.raises(MaskError, match="48×48 px, the clip 64×48 px"):
        weights_of(images(tmp_path, [blob(48, 48)]), tmp_path)


def test_a_box_covers_its_pixels(tmp_path):
    weights = weights_of(Mask(box=(10, 5, 20, 30)), tmp_path, frame_count=3)
    expected = np.zeros((48, 64), np.float32)
    expected[5:35, 10:30] = 1
    assert all(np.array_equal(w, expected) for w in weights)


def test_a_box_that_leaves_the_picture_is_clipped_with_a_warning(tmp_path):
    warn = Warnings()
    (weights,) = weights_of(Mask(box=(-5, 40, 20, 30)), tmp_path, warn=warn)
    assert weights.sum() == 15 * 8
    assert len(warn) == 1
    assert "15×8 px of it remain" in warn[0]


@pytest.mark.parametrize("box", [(64, 0, 5, 5), (-9, 0, 9, 9), (0, 48, 1, 1)])
def test_a_box_outside_of_the_picture_is_refused(tmp_path, box):
    with pytest.raises(MaskError, match="outside"):
        weights_of(Mask(box=box), tmp_path)


def coverage(mask, folder, frame_count):
    return mask_coverage(mask, folder, frame_count=frame_count, warn=Warnings(), **SIZE)


def test_coverage_is_the_mean_weight(tmp_path):
    assert coverage(Mask(box=(0, 0, 32, 48)), tmp_path, 3) == pytest.approx(0.5)


def test_one_covered_frame_is_enough(tmp_path):
    black = np.zeros((48, 64), np.uint8)
    assert coverage(images(tmp_path, [black, black, blob()]), tmp_path, 3) > 0


def test_a_mask_that_covers_nothing_is_refused(tmp_path):
    black = np.zeros((48, 64), np.uint8)
    with pytest.raises(MaskError, match="covers nothing in any of 3 frames"):
        coverage(images(tmp_path, [black] * 3), tmp_path, 3)
    with pytest.raises(MaskError, match="covers nothing"):
        coverage(Mask(box=(0, 0, 64, 48), invert=True), tmp_path, 1)


def test_a_feather_that_eats_the_whole_mask_says_so(tmp_path):
    with pytest.raises(MaskError, match="covers nothing") as caught:
        coverage(Mask(box=(30, 20, 1, 1), feather_px=40), tmp_path, 1)
    assert "feather of 40 px" in caught.value.hint


def test_a_mask_movie_is_read_like_images(tmp_path):
    picture = np.repeat(blob()[:, :, None], 3, axis=2)
    with MovieWriter(tmp_path / "mask.mkv", Fraction(25), 64, 48, "ffv1") as writer:
        for _ in range(3):
            writer.write(picture)
    mask = Mask(media=Media(path=str(tmp_path / "mask.mkv"), kind="movie", frames=(0, 1, 2)))
    weights = weights_of(mask, tmp_path, frame_count=3)
    assert all(np.array_equal(w, (blob() / 255).astype(np.float32)) for w in weights)


def test_a_thin_object_survives_at_latent_size():
    weights = torch.zeros(2, 32, 48)
    weights[1, 5, :] = 1
    cells = latent_mask(weights, 8)
    assert cells.shape == (2, 4, 6)
    assert (cells[0] == 0).all()
    assert (cells[1, 0] == 1).all()
    assert (cells[1, 1:] == 0).all()


def test_a_latent_mask_is_binary_and_ignores_faint_weights():
    weights = torch.rand(3, 16, 16) * 0.09
    weights[0, 0, 0] = 0.5
    cells = latent_mask(weights, 8)
    assert cells.sum() == 1
    assert cells[0, 0, 0] == 1


def test_a_latent_mask_needs_whole_cells():
    with pytest.raises(ValueError, match="multiple of 8"):
        latent_mask(torch.zeros(1, 12, 16), 8)
