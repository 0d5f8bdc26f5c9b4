# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to look at while training."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from demo.generate import generate
from demo.grammar import caption
from demo.sampling import sample_any
from demo.training.autoencoder import decode
from demo.training.clips import to_signed
from demo.training.plan import SIZES
from demo.world import render
from engine.backbones.base import Backbone

_ZOOM = 3
SHEET_SEED = 900_000
"""Clips that are neither trained on nor used by any benchmark."""


def to_levels(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (..., 3, h, w) in [-1, 1] as levels (..., h, w, 3)."""
    levels = (pictures.float().clamp(-1, 1) * 127.5 + 127.5).round().byte()
    return levels.movedim(-3, -1).cpu().numpy()


def write_grid(path: Path, rows: list[list[NDArray[np.uint8]]], *, zoom: int = _ZOOM) -> None:
    """Pictures (h, w, 3) of any sizes in rows, enlarged without smoothing."""
    height, width = (max(p.shape[axis] for row in rows for p in row) for axis in (0, 1))
    cells = [
        [np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0))) for p in row]
        for row in rows
    ]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in cells])
    iio.imwrite(path, sheet.repeat(zoom, axis=0).repeat(zoom, axis=1))


def write_reconstructions(vae: AutoencoderKL, path: Path) -> None:
    """Source above, what the autoencoder makes of it below."""
    device = next(vae.parameters()).device
    rows: list[list[NDArray[np.uint8]]] = [[], []]
    for number in range(10):
        width, height = SIZES[number % len(SIZES)]
        frame = render(sample_any(SHEET_SEED + number, width=width, height=height)).frames[0]
        with torch.no_grad():
            latents = vae.encode(to_signed(frame[None], device), return_dict=False)[0].mean
            decoded = decode(vae, latents)
        rows[0].append(frame)
        rows[1].append(to_levels(decoded)[0])
    write_grid(path, rows)


def write_samples(backbone: Backbone, path: Path, *, count: int = 6) -> None:
    """Clips sampled from captions, a clip a row; the captions are in a text file beside it."""
    specs = [sample_any(SHEET_SEED + 100 + number) for number in range(count)]
    captions = [caption(spec) for spec in specs]
    clips = generate(backbone, captions, seed=SHEET_SEED)
    write_grid(path, [list(to_levels(clip * 2 - 1)) for clip in clips])
    path.with_suffix(".txt").write_text("\n".join(captions) + "\n", encoding="utf-8")
