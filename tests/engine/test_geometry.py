# SPDX-License-Identifier: GPL-3.0-or-later
"""Working sizes: any clip fits the backbone, and comes back at its own size."""

import pytest
import torch

from engine.errors import InvalidJobError
from engine.video.geometry import working_size

DEMO = {"pixels": 4096, "multiple": 8}
SIZES = [(64, 64), (853, 477), (1920, 1080), (1080, 1920), (720, 405), (1, 1), (33, 65), (480, 832)]


def test_a_clip_of_the_working_area_passes_through_bit_exactly():
    size = working_size(64, 64, **DEMO)
    frames = torch.rand(2, 3, 64, 64)
    assert torch.equal(size.down(frames), frames)
    assert torch.equal(size.up(frames), frames)


def test_a_clip_near_the_working_area_is_padded_and_not_resampled():
    size = working_size(70, 61, **DEMO)
    frames = torch.rand(1, 3, 61, 70)
    down = size.down(frames)
    assert down.shape[-2:] == (64, 72)
    assert torch.equal(down[..., :61, :70], frames)
    assert torch.equal(size.up(down), frames)


def test_padding_repeats_the_rim():
    size = working_size(70, 61, **DEMO)
    frames = torch.rand(1, 3, 61, 70)
    down = size.down(frames)
    assert (down[..., :61, 70:] == frames[..., -1:]).all()
    assert (down[..., 61:, :70] == frames[..., -1:, :]).all()


def test_a_small_clip_is_scaled_up_to_the_working_area():
    size = working_size(32, 32, **DEMO)
    assert (size.content_width, size.content_height) == (64, 64)


@pytest.mark.parametrize("clip", SIZES)
@pytest.mark.parametrize(("pixels", "multiple"), [(4096, 8), (399360, 16), (256 * 256, 32)])
def test_area_shape_and_multiples_hold(clip, pixels, multiple):
    size = working_size(*clip, pixels=pixels, multiple=multiple)
    content = size.content_width * size.content_height
    assert 1 / 1.27 < content / pixels < 1.27
    assert size.padded_width % multiple == size.padded_height % multiple == 0
    assert 0 <= size.padded_width - size.content_width < multiple
    assert 0 <= size.padded_height - size.content_height < multiple
    ratio = size.content_width / size.content_height
    assert ratio == pytest.approx(clip[0] / clip[1], rel=0.02)


@pytest.mark.parametrize("clip", [(853, 477), (32, 32), (33, 65), (1, 1), (64, 36)])
def test_a_clip_comes_back_at_its_own_size(clip):
    size = working_size(*clip, **DEMO)
    frames = torch.rand(2, 3, clip[1], clip[0])
    down = size.down(frames)
    assert down.shape == (2, 3, size.padded_height, size.padded_width)
    assert down.min() >= 0
    assert down.max() <= 1
    assert size.crop(down).shape == (2, 3, size.content_height, size.content_width)
    assert size.up(down).shape == frames.shape


def test_a_flat_clip_stays_flat():
    size = working_size(853, 477, **DEMO)
    frames = torch.full((1, 3, 477, 853), 0.3)
    assert torch.allclose(size.up(size.down(frames)), frames, atol=1e-6)


def test_scaling_down_averages_instead_of_picking_pixels():
    size = working_size(640, 640, **DEMO)
    y, x = torch.meshgrid(torch.arange(640), torch.arange(640), indexing="ij")
    checks = ((x + y) % 2).float().expand(1, 3, -1, -1)
    assert (size.down(checks) - 0.5).abs().max() < 0.05


def test_equal_frames_give_equal_pixels_alone_and_together():
    size = working_size(853, 477, **DEMO)
    frames = torch.rand(3, 3, 477, 853)
    together = size.down(frames)
    assert torch.equal(together, size.down(frames))
    assert torch.equal(together[1:2], size.down(frames[1:2]))


def test_an_asked_for_size_holds_the_whole_clip():
    size = working_size(853, 477, pixels=4096, multiple=32, override=(512, 288))
    assert (size.content_width, size.content_height) == (512, 286)
    assert (size.padded_width, size.padded_height) == (512, 288)
    narrow = working_size(128, 72, **DEMO, override=(64, 64))
    assert (narrow.content_width, narrow.content_height) == (64, 36)
    assert (narrow.padded_width, narrow.padded_height) == (64, 40)


def test_a_sliver_is_refused_with_the_sizes():
    with pytest.raises(InvalidJobError, match=r"4000×20 px.*905×5 px.*needs 8 px") as caught:
        working_size(4000, 20, **DEMO)
    assert caught.value.hint


def test_frames_of_another_size_are_a_programming_error():
    size = working_size(64, 64, **DEMO)
    with pytest.raises(ValueError, match="expected"):
        size.down(torch.rand(1, 3, 64, 63))
