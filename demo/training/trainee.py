# SPDX-License-Identifier: GPL-3.0-or-later
"""A model in training: weights, their moving average, AdamW's state; saved and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from demo.training.plan import Schedule
from demo.training.workers import Worker

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Trainee:
    """Everything that a stage of training changes.

    Args:
        parts: Modules by name.
        schedule: How they are trained.
        worker: This process.
    """

    def __init__(self, parts: dict[str, nn.Module], schedule: Schedule, worker: Worker) -> None:
        self.parts = {name: part.to(worker.device).train() for name, part in parts.items()}
        self.schedule = schedule
        self.worker = worker
        self.step = 0
        self.seconds = 0.0
        """Time spent in training so far, over all runs."""
        named = {f"{p}.{n}": w for p, part in parts.items() for n, w in part.named_parameters()}
        self._names, self.weights = list(named), list(named.values())
        self._average = [w.detach().clone() for w in self.weights]
        self._optimiser = torch.optim.AdamW(
            self.weights,
            lr=schedule.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=1e-3,
            fused=True,
        )

    def update(self, loss: Tensor) -> None:
        """One step of AdamW along the mean gradient of all processes."""
        loss.backward()
        trained = [w for w in self.weights if w.grad is not None]
        self.worker.average_gradients(trained)
        nn.utils.clip_grad_norm_(trained, 1.0)
        for group in self._optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.step += 1
        # A young average forgets fast, or it would remember the random start for ever.
        decay = min(self.schedule.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, weight in zip(self._average, self.weights, strict=True):
                average.lerp_(weight, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parts have the averaged weights and are in evaluation mode."""
        self._swap()
        for part in self.parts.values():
            part.eval()
        try:
            yield
        finally:
            for part in self.parts.values():
                part.train()
            self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for weight, average in zip(self.weights, self._average, strict=True):
                kept = weight.clone()
                weight.copy_(average)
                average.copy_(kept)

    def begin_from_average(self) -> None:
        """Go on from the averaged weights, as the next stage does."""
        with torch.no_grad():
            for weight, average in zip(self.weights, self._average, strict=True):
                weight.copy_(average)

    def averages(self) -> dict[str, dict[str, Tensor]]:
        """The averaged weights of every part."""
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in self.parts}
        for name, average in zip(self._names, self._average, strict=True):
            part, _, rest = name.partition(".")
            parts[part][rest] = average
        return parts

    def load_averages(self, path: Path) -> None:
        """Begin from the averaged weights of another checkpoint."""
        tensors = load_file(path)
        with torch.no_grad():
            for name, weight, average in zip(self._names, self.weights, self._average, strict=True):
                weight.copy_(tensors[f"average/{name}"])
                average.copy_(weight)

    def save(self, path: Path) -> None:
        """Write the checkpoint; the old one stays until the new one is complete."""
        tensors = {"state/step": torch.tensor(self.step)}
        tensors["state/seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        for name, weight, average in zip(self._names, self.weights, self._average, strict=True):
            tensors[f"weight/{name}"] = weight.detach()
            tensors[f"average/{name}"] = average
            for moment, value in self._optimiser.state.get(weight, {}).items():
                tensors[f"{moment}/{name}"] = value
        part = path.with_suffix(".part")
        save_file({name: value.contiguous() for name, value in tensors.items()}, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint, with the same next step as if it had never stopped."""
        tensors = load_file(path, device=str(self.worker.device))
        self.step = int(tensors["state/step"])
        self.seconds = float(tensors["state/seconds"])
        with torch.no_grad():
            for name, weight, average in zip(self._names, self.weights, self._average, strict=True):
                weight.copy_(tensors[f"weight/{name}"])
                average.copy_(tensors[f"average/{name}"])
                found = {m: tensors[f"{m}/{name}"] for m in _MOMENTS if f"{m}/{name}" in tensors}
                if found:
                    self._optimiser.state[weight] = found
