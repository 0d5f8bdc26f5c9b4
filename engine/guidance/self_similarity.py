# SPDX-License-Identifier: GPL-3.0-or-later
"""Spatial and temporal self-similarity matching (torch, never bpy).

Jeong et al., "DreamMotion", ECCV 2024 (arXiv 2403.12002). With K the keys of a self-attention
layer, one vector per place and frame, and cos the cosine of the angle between two vectors:

    S-SSM   1/N Σ_n ‖SSⁿ − SŜⁿ‖²,   SSⁿ_ij = cos(K_iⁿ, K_jⁿ)       i, j: places of frame n
    T-SSM       ‖TS − TŜ‖²,         TS_nm  = cos(M_n, M_m)         M_n = mean over places of K_iⁿ

Here both are divided by the number of entries of the matrix, so that a weight means the same at
every size. The matrix SS itself, (places)² per frame, is never made: with N and M the keys of
target and source scaled to unit length and D = N − M,

    ‖N Nᵀ − M Mᵀ‖² = ⟨DᵀD, NᵀN⟩ + ⟨MᵀM, DᵀD⟩ + 2 ⟨DᵀM, (DᵀN)ᵀ⟩

needs matrices of (channels)² only. Everything has a factor D, so nothing cancels when target and
source are close, and D is computed without cancellation too. What still cancels is a turn of all
keys together, which changes D and no similarity; the arithmetic is therefore in float64, one frame
at a time, where the device has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

LEAST_LENGTH = 1e-12
"""Shorter keys count as this long: a cosine needs a direction."""


def spatial_self_similarity(target_keys: Tensor, source_keys: Tensor) -> Tensor:
    """S-SSM of one layer.

    Args:
        target_keys: `(frames, places, channels)`, any float format; gradients flow to it.
        source_keys: Same shape; a constant.

    Returns:
        A scalar, float32: mean squared difference of the similarities.
    """
    return _SelfSimilarity.apply(target_keys, source_keys.detach())  # type: ignore[return-value]


def temporal_self_similarity(target_keys: Tensor, source_keys: Tensor) -> Tensor:
    """T-SSM of one layer; arguments and result as in `spatial_self_similarity`."""
    target, source = (_FrameMeans.apply(keys) for keys in (target_keys, source_keys.detach()))
    return _SelfSimilarity.apply(target, source)  # type: ignore[return-value]


class _FrameMeans(Function):
    """Mean over the places of each frame, `(1, frames, channels)` in the widest format.

    `keys.mean(dtype=…)` would hold all keys in that format at once, forward and backward.
    """

    @staticmethod
    def forward(ctx: Any, keys: Tensor) -> Tensor:
        ctx.keys_format = keys.shape, keys.dtype
        return torch.stack([frame.mean(dim=0, dtype=_widest(frame)) for frame in keys])[None]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        shape, dtype = ctx.keys_format
        return (grad_outputs[0][0] / shape[1]).to(dtype)[:, None].expand(shape)


class _SelfSimilarity(Function):
    """Mean over the batch of ‖N Nᵀ − M Mᵀ‖² / rows² for `(batch, rows, channels)`.

    Of the keys nothing but themselves is kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, target: Tensor, source: Tensor) -> Tensor:
        ctx.save_for_backward(target, source)
        values = [_distance(*_directions(k, s)[:3]) for k, s in zip(target, source, strict=True)]
        # Rounding may leave a little less than nothing.
        return (torch.stack(values).mean().clamp_min(0) / target.shape[1] ** 2).float()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        target, source = ctx.saved_tensors
        gradient = torch.empty_like(target)
        scale = grad_outputs[0].to(_widest(target)) / (len(target) * target.shape[1] ** 2)
        for row, k, s in zip(gradient, target, source, strict=True):
            row.copy_(_gradient(k, s).mul_(scale))
        return gradient, None


def _widest(like: Tensor) -> torch.dtype:
    """float64 where the device has it; MPS does not (docs/self_similarity.md: at what cost)."""
    return torch.float32 if like.device.type == "mps" else torch.float64


def _directions(k: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """N, M and D = N − M, each (rows, channels), of raw keys; and the target's lengths.

    In place, on copies: at full size each such matrix is 7 MB.
    """
    n, m = k.to(_widest(k), copy=True), s.to(_widest(s), copy=True)
    k_length = n.norm(dim=1, keepdim=True).clamp_min_(LEAST_LENGTH)
    s_length = m.norm(dim=1, keepdim=True).clamp_min_(LEAST_LENGTH)
    d = n - m
    # 1/‖k‖ − 1/‖s‖ = −⟨d, k + s⟩ / (‖k‖ ‖s‖ (‖k‖ + ‖s‖)), without the difference of two lengths.
    along = (_products(d, n) + _products(d, m)) / (k_length * s_length * (k_length + s_length))
    d.div_(k_length).addcmul_(m, along, value=-1)
    return n.div_(k_length), m.div_(s_length), d, k_length


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each row of one with that of the other, (rows, 1)."""
    return (a[:, None] @ b[:, :, None])[:, 0]


def _distance(n: Tensor, m: Tensor, d: Tensor) -> Tensor:
    """‖N Nᵀ − M Mᵀ‖²."""
    rows, channels = n.shape
    if rows < channels:
        return (d @ n.T + m @ d.T).square().sum()
    dd = d.T @ d
    return (dd * (n.T @ n + m.T @ m)).sum() + 2 * ((d.T @ m) * (d.T @ n).T).sum()


def _gradient(k: Tensor, s: Tensor) -> Tensor:
    """∂‖N Nᵀ − M Mᵀ‖² / ∂K: 4 (D Nᵀ + M Dᵀ) N, then through the scaling to unit length."""
    n, m, d, length = _directions(k, s)
    rows, channels = n.shape
    is_direct = rows < channels
    by_n = (d @ n.T + m @ d.T) @ n if is_direct else (d @ (n.T @ n)).addmm_(m, d.T @ n)
    by_n.mul_(4)
    along = _products(by_n, n)
    return by_n.addcmul_(n, along, value=-1).div_(length)
