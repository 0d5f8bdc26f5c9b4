# SPDX-License-Identifier: GPL-3.0-or-later
"""From edited latents back to full-size pixels (torch, never bpy).

Delta decode: with D the decoder, S the source frame and Δ = up(D(z)) − up(D(ẑ)),

    edited = S + m · (Δ − (1 − a) · (S − up(D(ẑ))))

where a is 1 where Δ is 0 and falls smoothly to 0 where |Δ| is large. What the edit did not touch is
the source, exactly, and not an autoencoder's round trip; what it did change carries no ghost of the
source's detail. m is the mask: where it is 0 the source's pixels stay, bit for bit.

The backbone works on a small picture, whose pixels at the mask's edge mix inside and outside. `up`
therefore fills those pixels from their neighbours that are surely inside before it enlarges, so
that a crisp mask gives a crisp edge without a halo; the source's own edge pixels are treated alike.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FULL_DIFFERENCE = 0.25
"""|Δ| (of a range of 1) from which on nothing of the source's detail is kept."""

FILL_RADIUS = 2
"""Reach in working pixels of the fill: the decoder blurs an edge over about two pixels."""


def detail_weight(difference: Tensor) -> Tensor:
    """a: 1 at no difference, smoothly down to 0 at `FULL_DIFFERENCE`.

    Args:
        difference: Δ, `(frames, 3, H, W)`.

    Returns:
        `(frames, 1, H, W)`.
    """
    size = (difference.abs().amax(1, keepdim=True) / FULL_DIFFERENCE).clamp(0, 1)
    return 1 - size * size * (3 - 2 * size)


def fill_from_inside(picture: Tensor, inside: Tensor, radius: int) -> Tensor:
    """Replace what is not surely inside by the mean of its surely-inside neighbours.

    Args:
        picture: `(frames, channels, h, w)`.
        inside: Share of each pixel that lies inside, `(frames, 1, h, w)` in [0, 1].
        radius: Reach in pixels.

    Returns:
        Same shape as `picture`; unchanged where a pixel and its surroundings are wholly inside.
    """

    def box(x: Tensor) -> Tensor:
        return functional.avg_pool2d(
            functional.pad(x, [radius] * 4, mode="replicate"), 2 * radius + 1, stride=1
        )

    # The least coverage in a pixel's 3×3 surroundings: 1 only where nothing of the outside is near.
    certainty = -functional.max_pool2d(
        functional.pad(-inside, [1] * 4, mode="replicate"), 3, stride=1
    )
    certainty = certainty**2
    # An object too thin to have an inside is still known best where its coverage is largest.
    weight = certainty + 1e-3 * inside**4 + 1e-9
    filled = box(picture * weight) / box(weight)
    return torch.where(certainty >= 1, picture, certainty * picture + (1 - certainty) * filled)


def enlarge(picture: Tensor, inside: Tensor | None, size: tuple[int, int]) -> Tensor:
    """`up`: the working picture at full size, from inside pixels only where there is a mask.

    Args:
        picture: `(frames, 3, h, w)`.
        inside: The mask at working size, `(frames, 1, h, w)`, or none.
        size: Full height and width in px.

    Returns:
        `(frames, 3, H, W)`.
    """
    if inside is not None:
        picture = fill_from_inside(picture, inside, FILL_RADIUS)
    if picture.shape[-2:] == size:
        return picture
    return functional.interpolate(picture, size=size, mode="bicubic", align_corners=False)


def composite(
    source: Tensor, decoded_target: Tensor, decoded_source: Tensor, mask: Tensor | None
) -> Tensor:
    """Carry the edit to the full-size source.

    Args:
        source: S, `(frames, 3, H, W)` in [0, 1].
        decoded_target: D(z) at working size, `(frames, 3, h, w)` in [0, 1].
        decoded_source: D(ẑ), same shape.
        mask: m at full size, `(frames, 1, H, W)` in [0, 1]; none: everywhere.

    Returns:
        `(frames, 3, H, W)` in [0, 1]; equals `source` exactly where the mask is 0 and where Δ is 0.
    """
    size = (source.shape[-2], source.shape[-1])
    working = (decoded_target.shape[-2], decoded_target.shape[-1])
    inside, own = None, source
    if mask is not None:
        inside = functional.interpolate(mask, size=working, mode="area")
        if not torch.equal(mask, torch.ones_like(mask)):
            own = fill_from_inside(source, mask, FILL_RADIUS)
    before = enlarge(decoded_source, inside, size)
    difference = enlarge(decoded_target, inside, size) - before
    correction = difference - (1 - detail_weight(difference)) * (own - before)
    if mask is not None:
        correction = correction * mask
    return (source + correction).clamp(0, 1)
