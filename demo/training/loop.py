# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of every stage: resume, step, log, save, stop in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from demo.training.trainee import Trainee

SAVE_SECONDS = 240.0
LOG_STEPS = 25


class Task(Protocol):
    """What a stage trains on."""

    def loss(self, step: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a step, and figures for the log; randomness from the arguments alone.

        At a step all processes have figures of the same names; one that is missing is NaN.
        """
        ...


class OutOfTime(Exception):
    """The budget of this run is spent; the checkpoint is written."""


@dataclass
class Budget:
    """What a run may spend; looked at between steps of training.

    Attributes:
        deadline: `time.monotonic()` at which to stop.
        steps: Steps of training that are left, over all stages.
    """

    deadline: float
    steps: float

    def is_spent(self) -> bool:
        """Whether it is time to stop."""
        return self.steps <= 0 or time.monotonic() >= self.deadline


def train(
    name: str,
    trainee: Trainee,
    task: Task,
    folder: Path,
    *,
    seed: int,
    budget: Budget,
    show: Callable[[], None] = lambda: None,
) -> None:
    """Train until the schedule's last step, from the checkpoint where there is one.

    Args:
        name: Of the stage: its checkpoint is `folder/name.safetensors`, its log `name.jsonl`.
        trainee: What is trained.
        task: What it is trained on.
        folder: Where checkpoint and log lie.
        seed: Of the plan. A step's random numbers depend on seed, stage, step and process only.
        budget: Of this run.
        show: Called with every checkpoint, with the averaged weights in place.

    Raises:
        OutOfTime: the budget was spent first.
    """
    worker, checkpoint = trainee.worker, folder / f"{name}.safetensors"
    if checkpoint.is_file():
        trainee.load(checkpoint)
    steps = trainee.schedule.steps
    clock = _Clock(trainee.seconds)
    log = _Log(folder / f"{name}.jsonl", trainee, clock)

    def keep() -> None:
        trainee.seconds = clock.seconds()
        clock.saved = time.monotonic()
        if worker.leads:
            trainee.save(checkpoint)
            with trainee.averaged():
                show()

    with tqdm(
        total=steps, initial=trainee.step, desc=name, unit="step", disable=not worker.leads
    ) as bar:
        while trainee.step < steps:
            late = worker.any(budget.is_spent())
            if worker.any(late or time.monotonic() - clock.saved >= SAVE_SECONDS):
                keep()
            if late:
                raise OutOfTime(f"{name}: step {trainee.step} of {steps}")
            generator = Generator().manual_seed(_seed(seed, name, trainee.step, worker.rank))
            loss, told = task.loss(trainee.step, generator)
            trainee.update(loss)
            budget.steps -= 1
            log.add(told)
            bar.update()
            if trainee.step % LOG_STEPS == 0 or trainee.step == steps:
                bar.set_postfix_str(log.write())
            if trainee.step == steps:
                keep()


class _Clock:
    """Time spent on a stage, over all runs."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._begun = self.saved = time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._begun


class _Log:
    """Means of the figures since the last line, over all processes, as JSON lines."""

    def __init__(self, path: Path, trainee: Trainee, clock: _Clock) -> None:
        self._path, self._trainee, self._clock = path, trainee, clock
        self._figures: dict[str, list[Tensor]] = {}

    def add(self, figures: dict[str, Tensor]) -> None:
        for key, value in figures.items():
            self._figures.setdefault(key, []).append(value.float().cpu())

    def write(self) -> str:
        """Append a line; returns what of it fits a progress bar."""
        means = {}
        for key, values in sorted(self._figures.items()):
            known = torch.stack(values)
            known = known[known.isfinite()]
            total = self._trainee.worker.mean(torch.stack([known.sum(), torch.tensor(len(known))]))
            if total[1] > 0:
                means[key] = float(total[0] / total[1])
        self._figures.clear()
        line = means | {
            "step": self._trainee.step,
            "seconds": round(self._clock.seconds(), 1),
            "learning_rate": self._trainee.schedule.rate(self._trainee.step - 1),
        }
        if self._trainee.worker.leads:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return ", ".join(f"{key} {value:.4g}" for key, value in means.items())


def _seed(seed: int, name: str, step: int, rank: int) -> int:
    """A seed of its own for every step of every stage in every process."""
    stage = sum(ord(letter) * 31**place for place, letter in enumerate(name)) % 10_007
    return (seed * 1_000_003 + stage) * 1_000_003 + step * 64 + rank & (1 << 62) - 1
