# SPDX-License-Identifier: GPL-3.0-or-later
"""One or more processes that train the same weights together.

On a CPU two processes of one thread, which meet once a step, outrun one process of two threads,
which meet in every layer: on a shared machine each of those meetings waits for the slower core.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

# A stage's slowest single step by far: rank 0 writes sheets while the others wait.
_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Worker:
    """This process among its peers."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def fast_arithmetic(self) -> torch.autocast:
        """bfloat16 where the machine computes in it; where it would be imitated, float32, which is
        ten times faster there.
        """
        is_fast = self.device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=is_fast)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; one message for all of them."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.world
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def any(self, value: bool) -> bool:
        """Whether the value is true in any process; all of them wait here for each other."""
        if self.world == 1:
            return value
        count = torch.tensor([float(value)])
        distributed.all_reduce(count)
        return count.item() > 0

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes of a tensor on the CPU."""
        if self.world > 1:
            distributed.all_reduce(value)
            value /= self.world
        return value


def run_workers(
    job: Callable[..., None], arguments: tuple[Any, ...], *, world: int, meeting: Path
) -> None:
    """Run `job(worker, *arguments)` in `world` processes, in this one if it is alone.

    Args:
        job: A function of a module, so that a new process can import it.
        arguments: Passed on.
        world: Number of processes; more than one are CPU processes of one thread each.
        meeting: A file, removed first, by which the processes find each other.
    """
    meeting.unlink(missing_ok=True)
    if world == 1:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        job(Worker(0, 1, device), *arguments)
        return
    spawn(_enter, (world, str(meeting), job, arguments), nprocs=world)
    meeting.unlink(missing_ok=True)


def _enter(
    rank: int, world: int, meeting: str, job: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=world, timeout=_PATIENCE
    )
    try:
        job(Worker(rank, world, torch.device("cpu")), *arguments)
    finally:
        distributed.destroy_process_group()


def _end_with_parent() -> None:
    """Without the parent nothing holds the folder's lock: a later run would write there, too.

    torch sends its processes SIGINT then, which is ignored in what a shell runs in the background.
    """
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
