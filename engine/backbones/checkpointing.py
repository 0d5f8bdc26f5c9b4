# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradient checkpointing of a U-Net's blocks (torch, never bpy).

Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174): of each block only
its inputs are kept for the backward pass, which runs the block again. diffusers'
UNet3DConditionModel has no such switch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed_blocks(unet: Any) -> Iterator[None]:
    """Inside, a pass with a graph keeps each block's inputs alone; results are the same bits.

    Args:
        unet: With `down_blocks`, `mid_block` and `up_blocks`. Any: of two classes of diffusers.
    """
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # the class's own is seen again
