# SPDX-License-Identifier: GPL-3.0-or-later
"""What self-similarity costs in memory and time, and why its arithmetic is in float64.

    .venv/bin/python -m benchmarks.self_similarity

Value and gradient of DreamMotion's two terms for the largest layer of Zeroscope at 16 frames of
576 × 320: 2880 places, 320 channels. The direct form makes the (places)² matrices, in the keys' own
float32. Each form runs in a process of its own, all in one run; seconds are of the processor, so
that other programs do not count. Beside it, how far each number format is from the direct form in
float64, on small keys. Writes docs/self_similarity.md.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from engine.guidance import self_similarity
from engine.guidance.self_similarity import spatial_self_similarity, temporal_self_similarity

ROOT = Path(__file__).resolve().parent.parent
SHAPE = (16, 2880, 320)
LIMIT_MEGABYTES = 100
SMALL_SHAPES = ((1, 200, 32), (2, 40, 16), (3, 64, 64), (2, 12, 48))
PERTURBATIONS = (1.0, 0.1, 0.01, 0.001, 0.0001)


def direct_spatial(target: Tensor, source: Tensor) -> Tensor:
    """S-SSM as printed, divided by the matrices' entries."""
    return (_cosines(target) - _cosines(source)).square().mean()


def direct_temporal(target: Tensor, source: Tensor) -> Tensor:
    """T-SSM as printed, divided by the matrix's entries."""
    return (_cosines(target.mean(dim=1)) - _cosines(source.mean(dim=1))).square().mean()


def _cosines(keys: Tensor) -> Tensor:
    unit = keys / keys.norm(dim=-1, keepdim=True)
    return unit @ unit.transpose(-1, -2)


FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "spatial": spatial_self_similarity,
    "direct spatial": direct_spatial,
    "temporal": temporal_self_similarity,
    "direct temporal": direct_temporal,
}


def keys_of(
    shape: tuple[int, int, int], perturbation: float = 0.1, *, is_turned: bool = False
) -> tuple[Tensor, Tensor]:
    """Target keys, a little beside the source's, and those.

    Args:
        shape: Frames, places and channels.
        perturbation: Of every number, where the source's have a variance of 1.
        is_turned: Whether all target keys are turned together, which changes no similarity.
    """
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(shape, generator=generator)
    target = torch.randn(shape, generator=generator).mul_(perturbation).add_(source)
    if is_turned:
        square = torch.randn(shape[-1], shape[-1], generator=generator, dtype=torch.float64)
        target = (target.double() @ torch.linalg.qr(square)[0]).float()
    return target.requires_grad_(), source


def rounding(perturbation: float, *, is_turned: bool, dtype: torch.dtype) -> tuple[float, float]:
    """Largest relative error of value and gradient over some shapes, in one number format."""
    errors = []
    for shape in SMALL_SHAPES:
        target, source = keys_of(shape, perturbation, is_turned=is_turned)
        with mock.patch.object(self_similarity, "_widest", return_value=dtype):
            value = spatial_self_similarity(target, source)
            (found,) = torch.autograd.grad(value, target)
        exact = direct_spatial(target.double(), source.double())
        (expected,) = torch.autograd.grad(exact, target)
        apart = float((found - expected).norm() / expected.norm())
        errors.append((abs(value.item() / exact.item() - 1), apart))
    values, gradients = zip(*errors, strict=True)
    return max(values), max(gradients)


def rounding_lines() -> list[str]:
    """The part of the page about number formats."""
    lines = [
        "## Why float64",
        "",
        "Largest relative error of S-SSM's value / gradient against the direct form in float64 for"
        f" keys of {len(SMALL_SHAPES)} small shapes that differ by a perturbation of the given"
        " size, and for the same after all target keys were turned together. Such a turn changes no"
        " similarity but every key, so that large numbers cancel to a small one.",
        "",
        "| perturbation | float32 | float64 | float32, turned | float64, turned |",
        "|---|---|---|---|---|",
    ]
    for perturbation in PERTURBATIONS:
        cells = [
            "{:.0e} / {:.0e}".format(*rounding(perturbation, is_turned=is_turned, dtype=dtype))
            for is_turned in (False, True)
            for dtype in (torch.float32, torch.float64)
        ]
        lines.append(f"| {perturbation:g} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "Limits of the tests: 1e-05 / 1e-04. Frames are converted one at a time, so float64 costs"
        " little memory. MPS has no float64: there it is float32, without a warning, because"
        " the gradient alone moves the latents and stays within a percent.",
    ]


def run_here(form: str) -> None:
    """Print peak memory beyond the keys in megabytes, and seconds, of one form in this process."""
    torch.set_num_threads(1)
    match = FORMS[form]
    match(*keys_of((2, 64, 32))).backward()  # the first call loads libraries
    target, source = keys_of(SHAPE)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    match(target, source).backward()
    seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) * 1024 / 1e6, seconds)  # Linux counts in KiB


def measured(form: str) -> tuple[float, float]:
    """Megabytes and seconds of one form, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.self_similarity", form]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, done.stdout.split())
    return megabytes, seconds


def main() -> None:
    """Measure and write the page."""
    gradient = 4 * torch.Size(SHAPE).numel() / 1e6
    frames, places, channels = SHAPE
    lines = [
        "# What self-similarity costs",
        "",
        f"Written by `.venv/bin/python -m benchmarks.self_similarity` (torch {torch.__version__}, "
        f"{platform.machine()}, 1 thread).",
        "",
        f"Value and gradient for {frames} frames of {places} places and {channels} channels in"
        f" float32: {gradient:.0f} MB of keys a branch, and as much for the gradient. Extra memory"
        " is what comes on top of these; its limit is"
        f" {LIMIT_MEGABYTES} MB. The direct form makes the"
        f" matrices of {places} × {places} entries, {4 * frames * places**2 / 1e6:.0f} MB each.",
        "",
        "| term | extra memory | direct form | processor time | direct form | ratio |",
        "|---|---|---|---|---|---|",
    ]
    most = 0.0
    for term in ("spatial", "temporal"):
        megabytes, seconds = measured(term)
        direct_megabytes, direct_seconds = measured(f"direct {term}")
        most = max(most, megabytes - gradient)
        lines.append(
            f"| {term} | {megabytes - gradient:.0f} MB | {direct_megabytes - gradient:.0f} MB"
            f" | {seconds:.2f} s | {direct_seconds:.2f} s | {seconds / direct_seconds:.2f} |"
        )
    text = "\n".join([*lines, "", "CUDA: not measured.", "", *rounding_lines(), ""])
    (ROOT / "docs" / "self_similarity.md").write_text(text, encoding="utf-8")
    print(text)
    if most > LIMIT_MEGABYTES:
        sys.exit("The limit is broken.")


if __name__ == "__main__":
    run_here(" ".join(sys.argv[1:])) if len(sys.argv) > 1 else main()
