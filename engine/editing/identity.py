# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes of all that something kept on disk depends on (torch, never bpy)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import __version__
from ..job import EditJob
from ..registry import BackboneCard
from ..schema import dumps, to_plain


def identity_of(
    job_text: str, cards: Sequence[BackboneCard], size: tuple[int, int], machine: tuple[str, ...]
) -> str:
    """A hash of everything the latents depend on.

    Args:
        job_text: job.json.
        cards: The backbones; their files' contents count, see `BackboneCard.fingerprint`.
        size: Working width and height, in px.
        machine: Device, precision and versions as resolved: another arithmetic is another edit.
    """
    digest = hashlib.sha256(job_text.encode())
    for card in cards:
        digest.update(f"{card.fingerprint()}\n".encode())
    digest.update(f"{size} {machine} {__version__}".encode())
    return digest.hexdigest()


def reference_identity(
    job: EditJob,
    z_source: Tensor,
    cards: Sequence[BackboneCard],
    size: tuple[int, int],
    machine: tuple[str, ...],
) -> str:
    """A hash of everything a job's references depend on: not the target, its mask or its strength.

    Args:
        job: The edit.
        z_source: Latents of its clip, `(frames, channels, h, w)`.
        cards: As of `identity_of`.
        size: Likewise.
        machine: Likewise.
    """
    settings = job.settings
    own = {"dreammotion": settings.dreammotion, "assd": settings.assd}.get(job.method)
    latents = z_source.detach().cpu().contiguous().view(torch.uint8)
    facts = {
        "clip": hashlib.sha256(latents.numpy().data).hexdigest(),
        "media_frames": job.source.frames,
        "prompt": job.source_prompt,
        "method": job.method,
        "own": to_plain(own) if own else None,
        "guidance_scale": settings.guidance_scale,
        "timesteps": [settings.timestep_min, settings.timestep_max, settings.timestep_schedule],
        "steps": settings.steps,
        "seed": job.seed,
        "threads": job.threads,
    }
    return identity_of(dumps(facts), cards, size, machine)
