# SPDX-License-Identifier: GPL-3.0-or-later
"""The training clips on disk: rendered once, encoded once, read by every process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from demo.grammar import caption, paraphrase
from demo.sampling import sample_any
from demo.training.plan import FRAMES, SIZE_SHARES, SIZES, Plan
from demo.training.workers import Worker
from demo.world import render

# Clips of one size have the seeds from here on, those of the next size begin this much later:
# benchmarks and tuning use seeds below.
FIRST_SEED = 1_000_000
CAPTIONS = 4
"""Captions per clip: the usual words first, then paraphrases."""


@dataclass(frozen=True)
class Shard:
    """The clips of one picture size."""

    folder: Path
    number: int
    count: int
    token_limit: int
    first: int = 0
    """Number of its first clip among all of this size."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return SIZES[self.number]

    def _file(self, kind: str) -> Path:
        return self.folder / f"{kind}-{self.size[0]}x{self.size[1]}.npy"

    def array(self, kind: str, *, create: bool = False) -> NDArray[np.generic]:
        """One of the files, mapped into memory: frames, alpha, tokens or latents."""
        if not create:
            # Numbers, and nothing else: a pickle could run code.
            return np.load(self._file(kind), mmap_mode="r+", allow_pickle=False)
        width, height = self.size
        shape, dtype = {
            "frames": ((FRAMES, height, width, 3), np.uint8),
            "alpha": ((FRAMES, height, width), np.uint8),
            "tokens": ((CAPTIONS, self.token_limit), np.int16),
            "latents": ((FRAMES, 4, height // 4, width // 4), np.float16),
        }[kind]
        return open_memmap(self._file(kind), "w+", dtype, (self.count, *shape))

    def seed(self, index: int) -> int:
        """Seed of a clip's spec."""
        return FIRST_SEED * (self.number + 1) + self.first + index

    def captions(self, index: int) -> list[str]:
        """The clip in words, `CAPTIONS` times."""
        spec = sample_any(self.seed(index), width=self.size[0], height=self.size[1])
        rng = np.random.Generator(np.random.PCG64([self.seed(index), 11]))
        return [caption(spec), *(paraphrase(spec, rng) for _ in range(CAPTIONS - 1))]


def shards(folder: Path, plan: Plan) -> list[Shard]:
    """The clips of a plan, by size."""
    counts = [max(1, round(plan.clips * share)) for share in SIZE_SHARES]
    return [
        Shard(folder, number, count, plan.token_limit, plan.first_clip)
        for number, count in enumerate(counts)
    ]


def render_clips(worker: Worker, folder: Path, plan: Plan) -> Iterable[float]:
    """Render every clip; yields the share that is done."""
    kinds = ("frames", "alpha")
    yield from _fill(worker, folder, plan, kinds, _render_into, chunk=1)


def write_captions(
    worker: Worker, folder: Path, plan: Plan, tokenizer: CLIPTokenizer
) -> Iterable[float]:
    """Write every clip's captions as tokens; yields the share that is done."""

    def write(shard: Shard, rows: slice, arrays: dict[str, NDArray[np.generic]]) -> None:
        for index in range(rows.start, rows.stop):
            arrays["tokens"][index] = to_tokens(tokenizer, shard.captions(index))

    yield from _fill(worker, folder, plan, ("tokens",), write, chunk=1)


def to_tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> NDArray[np.int16]:
    """Token ids (captions, limit), padded."""
    ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="np").input_ids
    return ids.astype(np.int16)


def encode_clips(worker: Worker, folder: Path, plan: Plan, vae: AutoencoderKL) -> Iterable[float]:
    """Encode every clip to latents of about unit variance; yields the share that is done."""

    def write(shard: Shard, rows: slice, arrays: dict[str, NDArray[np.generic]]) -> None:
        frames = np.asarray(shard.array("frames")[rows])
        latents = encode(vae, frames) * vae.config["scaling_factor"]
        arrays["latents"][rows] = latents.cpu().numpy().astype(np.float16)

    yield from _fill(worker, folder, plan, ("latents",), write, chunk=4)


@torch.no_grad()
def encode(vae: AutoencoderKL, frames: NDArray[np.generic]) -> Tensor:
    """Unscaled posterior means (clips, frames, 4, h/4, w/4) of levels (clips, frames, h, w, 3)."""
    device = next(vae.parameters()).device
    means = vae.encode(to_signed(frames, device).flatten(0, 1), return_dict=False)[0].mean
    return means.unflatten(0, frames.shape[:2])


def scaling_factor(vae: AutoencoderKL, every: list[Shard], clips: int = 16) -> float:
    """One over the standard deviation of the latents of the first clips of every size."""
    latents = [encode(vae, np.asarray(shard.array("frames")[:clips])).flatten() for shard in every]
    return float(1 / torch.cat(latents).std())


def _fill(worker, folder, plan, kinds, fill, *, chunk):  # noqa: ANN001, ANN202 - see the callers
    """Create the files of these kinds and fill this process's share of them, once."""
    folder.mkdir(parents=True, exist_ok=True)
    every = shards(folder, plan)

    def create() -> None:
        for shard in every:
            for kind in kinds:
                shard.array(kind, create=True)

    def rows() -> Iterable[float]:
        total, done = sum(s.count for s in every), 0
        for shard in every:
            arrays = {kind: shard.array(kind) for kind in kinds}
            for start in range(worker.rank * chunk, shard.count, worker.world * chunk):
                fill(shard, slice(start, min(start + chunk, shard.count)), arrays)
                done += chunk * worker.world
                yield min(done / total, 1.0)

    wanted = {"clips": plan.clips, "seed": plan.seed, "first_clip": plan.first_clip}
    yield from made_once(worker, folder / f"{'-'.join(kinds)}.done.json", wanted, create, rows)


def made_once(
    worker: Worker,
    mark: Path,
    wanted: dict[str, int],
    create: Callable[[], object],
    fill: Callable[[], Iterable[float]],
) -> Iterable[float]:
    """Create files and fill them, all processes together; yields the share that is done.

    Args:
        worker: This process.
        mark: Stands beside the files once they are complete; an interrupted run begins them anew.
        wanted: What the files depend on; with another mark they are made anew.
        create: Makes the empty files, in one process.
        fill: Fills this process's share of them, and says how far all are.
    """
    complete = mark.is_file() and json.loads(mark.read_text()) == wanted
    if not worker.any(not complete):
        return
    if worker.leads:
        mark.unlink(missing_ok=True)
        create()
    worker.any(False)
    yield from fill()
    worker.any(False)
    if worker.leads:
        mark.write_text(json.dumps(wanted))
    worker.any(False)


def _render_into(shard: Shard, rows: slice, arrays: dict[str, NDArray[np.generic]]) -> None:
    for index in range(rows.start, rows.stop):
        spec = sample_any(
            shard.seed(index), width=shard.size[0], height=shard.size[1], frames=FRAMES
        )
        clip = render(spec)
        arrays["frames"][index] = clip.frames
        arrays["alpha"][index] = np.rint(clip.alpha * 255)


def to_signed(frames: NDArray[np.generic], device: torch.device) -> Tensor:
    """Levels (..., h, w, 3) as (..., 3, h, w) in [-1, 1]."""
    levels = torch.from_numpy(np.array(frames)).to(device)
    return levels.movedim(-1, -3).float() / 127.5 - 1
