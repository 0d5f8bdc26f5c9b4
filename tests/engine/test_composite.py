# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta decode and mask composite: exact where nothing changed, crisp where the mask is."""

import torch
from torch.nn import functional

from engine.editing.composite import FULL_DIFFERENCE, composite, detail_weight

SIZE = (90, 160)
WORKING = (12, 20)


def picture(seed, size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, *size, generator=generator)


def disc(size, radius=0.3):
    """Antialiased coverage of a disc, radius in heights."""
    height, width = size
    y = (torch.arange(height) + 0.5 - height / 2)[:, None]
    x = (torch.arange(width) + 0.5 - width / 2)[None, :]
    return (radius * height + 0.5 - (x**2 + y**2).sqrt()).clamp(0, 1)[None, None]


def flat(colour, size=SIZE):
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, *size)


def test_equal_decoded_pictures_give_the_source_bit_for_bit():
    source, decoded = picture(0), picture(1, WORKING)
    for mask in (None, disc(SIZE)):
        assert torch.equal(composite(source, decoded, decoded, mask), source)


def test_where_the_mask_is_zero_the_source_stays_bit_for_bit():
    source, mask = picture(0), disc(SIZE)
    edited = composite(source, picture(1, WORKING), picture(2, WORKING), mask)
    outside = (mask == 0).expand_as(source)
    assert torch.equal(edited[outside], source[outside])
    assert not torch.equal(edited[~outside], source[~outside])


def test_a_recoloured_disc_equals_the_exact_counterfactual_at_full_size():
    """What a perfect model would give: working pictures are the true ones, scaled down."""
    mask = disc(SIZE)
    source = mask * flat([0.9, 0.1, 0.1]) + (1 - mask) * flat([0.2, 0.6, 0.3])
    truth = mask * flat([0.1, 0.2, 0.9]) + (1 - mask) * flat([0.2, 0.6, 0.3])
    small = [functional.interpolate(p, WORKING, mode="area") for p in (truth, source)]
    edited = composite(source, small[0], small[1], mask)
    assert float((edited - truth).abs().max()) < 0.02
    # Without the fill, working pixels that mix inside and outside make a halo along the edge.
    plain = functional.interpolate(small[0], SIZE, mode="bicubic", align_corners=False)
    halo = (mask * plain + (1 - mask) * source - truth).abs().max()
    assert float(halo) > 0.1


def test_a_large_change_leaves_no_ghost_of_the_sources_detail():
    stripes = flat([0.5, 0.5, 0.5]) + 0.3 * torch.sign(torch.sin(torch.arange(160) / 2.0))
    small_source = functional.interpolate(stripes, WORKING, mode="area")
    edited = composite(stripes, flat([0.0, 0.0, 1.0], WORKING), small_source, None)
    assert float((edited - flat([0.0, 0.0, 1.0])).abs().max()) < 0.02


def test_detail_weight_is_exactly_one_without_a_change_and_zero_at_a_full_one():
    assert (detail_weight(torch.zeros(1, 3, 2, 2)) == 1).all()
    assert (detail_weight(torch.full((1, 3, 2, 2), FULL_DIFFERENCE)) == 0).all()
    rising = torch.linspace(0, 0.3, 50).view(1, 1, 1, 50).expand(1, 3, 1, 50)
    assert (detail_weight(rising).diff(dim=-1) <= 0).all()


def test_a_mask_of_a_thin_line_still_takes_the_edit():
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 80:82] = 1
    edited = composite(
        flat([0.5, 0.5, 0.5]), flat([0.9, 0.5, 0.5], WORKING), flat([0.5, 0.5, 0.5], WORKING), mask
    )
    assert float(edited[0, 0, 45, 80]) > 0.85
