# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking into a U-Net's spatial self-attention, and changing it, during one pass (torch).

A site is one spatial self-attention layer of the decoder, named as diffusers names its block
(`up_blocks.1.attentions.0`), in the order in which a pass meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional

from .base import Fusion, Recording

DECODER = "up_blocks."
_LAYER = ".transformer_blocks.0.attn1"


def decoder_sites(unet: nn.Module) -> tuple[str, ...]:
    """The spatial self-attention layers of the decoder, first to last.

    Temporal ones have other names (`temp_attentions`), cross attention is `attn2`.
    """
    names = [name for name, module in unet.named_modules() if isinstance(module, Attention)]
    found = [name.removesuffix(_LAYER) for name in names if name.endswith(_LAYER)]
    return tuple(name for name in found if name.startswith(DECODER) and ".attentions." in name)


@contextmanager
def watched(unet: nn.Module, record: Recording | None, fuse: Fusion | None) -> Iterator[None]:
    """Inside, a pass fills the recording and attends to the fusion, where they are given."""
    with ExitStack() as stack:
        if record is not None:
            stack.enter_context(recorded(unet, record))
        if fuse is not None:
            stack.enter_context(fused(unet, fuse))
        yield


@contextmanager
def recorded(unet: nn.Module, recording: Recording) -> Iterator[None]:
    """Inside, a pass through the U-Net fills the recording."""

    def keep(into: dict[str, Tensor], site: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            into[site] = output

        return hook

    with ExitStack() as stack:
        for site in recording.sites:
            layer = _layer(unet, site)
            watched_parts = [(layer.to_k, recording.keys)]
            if recording.with_values:
                watched_parts.append((layer.to_v, recording.values))
            for part, into in watched_parts:
                stack.callback(part.register_forward_hook(keep(into, site)).remove)
        yield


@contextmanager
def fused(unet: nn.Module, fusion: Fusion) -> Iterator[None]:
    """Inside, the sites of the fusion's other pass attend to that pass too."""
    with ExitStack() as stack:
        for site in fusion.other.sites:
            layer = _layer(unet, site)
            stack.callback(layer.set_processor, layer.processor)
            layer.set_processor(
                _FusedProcessor(
                    fusion.other.keys[site], fusion.other.values[site], fusion.self_weight
                )
            )
        yield


class _FusedProcessor:
    """Weighted attention fusion (Zhu et al. 2024, arXiv 2406.04888, Eq. 12 and 13):

        λ Attn(q, k, v) + (1 − λ) Attn(q, k̂, v̂)

    written as Attn(q, k, v) + (1 − λ) (Attn(q, k̂, v̂) − Attn(q, k, v)), which is the first term
    exactly where both are equal: λ a + (1 − λ) a is not a for one float in nine.
    """

    def __init__(self, keys: Tensor, values: Tensor, self_weight: float) -> None:
        self._keys, self._values, self._self_weight = keys, values, self_weight

    # Any: diffusers annotates the parts of Attention too loosely to call them.
    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        heads: int = attn.heads
        query = attn.to_q(hidden_states)
        own = _attend(query, attn.to_k(hidden_states), attn.to_v(hidden_states), heads)
        other = _attend(query, self._keys.to(query), self._values.to(query), heads)
        mixed = own + (1 - self._self_weight) * (other - own)
        projection, dropout = attn.to_out
        return dropout(projection(mixed))


def _attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Scaled dot product attention of `(n, places, heads · features)`."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _layer(unet: nn.Module, site: str) -> Any:
    """The Attention of a site; Any for the same reason as above."""
    return unet.get_submodule(site + _LAYER)
