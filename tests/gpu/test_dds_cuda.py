# SPDX-License-Identifier: GPL-3.0-or-later
"""DDS on CUDA against the CPU; run with: pytest tests/gpu -m gpu (on a machine with CUDA)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.backbones.loading import load_backbone
from engine.guidance.base import WindowStep
from engine.guidance.dds import DeltaDenoising
from engine.guidance.randomness import frame_noise
from engine.job import EditSettings
from engine.registry import find_backbone
from tests.engine.clips import movie_job, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

RELATIVE_TOLERANCE = 2e-3
"""float32 without TF32: convolution algorithms differ, the mathematics does not."""


@pytest.fixture(autouse=True)
def full_float32():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def gradient(device):
    backbone = load_backbone(
        find_backbone("demo"), device=torch.device(device), dtype=torch.float32
    )
    z_source = frame_noise(0, 100, range(8), (4, 16, 16)).to(device)
    z_target = z_source + 0.2 * frame_noise(0, 101, range(8), (4, 16, 16)).to(device)
    prompts = tuple(f"a {color} ball moving right over grass" for color in ("red", "blue"))
    step = WindowStep(
        z_source,
        z_target,
        torch.ones_like(z_source[:, :1]),
        frame_noise(0, 0, range(8), (4, 16, 16)).to(device),
        400,
    )
    return DeltaDenoising(backbone, prompts, EditSettings(guidance_scale=5)).gradient(step).cpu()


def test_the_gradient_on_cuda_agrees_with_the_cpu():
    on_cpu, on_cuda = gradient("cpu"), gradient("cuda")
    assert float((on_cuda - on_cpu).norm() / on_cpu.norm()) < RELATIVE_TOLERANCE


def test_a_whole_job_on_cuda_agrees_with_the_cpu_within_two_levels(tmp_path):
    job, _ = movie_job(tmp_path / "in")
    on_cpu, _ = run(replace(job, device="cpu", precision="float32"), tmp_path / "cpu")
    on_cuda, result = run(replace(job, device="cuda", precision="float32"), tmp_path / "cuda")
    assert result["machine"]["device"].startswith("cuda")
    difference = np.abs(on_cpu.astype(int) - on_cuda.astype(int))
    assert difference.max() <= 8
    assert difference.mean() < 0.5


def test_equal_prompts_are_exact_on_cuda_in_bfloat16_too(tmp_path):
    job, clip = movie_job(tmp_path / "in", masked=False)
    job = replace(job, target_prompt=job.source_prompt, device="cuda", precision="bfloat16")
    frames, result = run(job, tmp_path / "job")
    assert result["gradient_norms"] == [0.0] * len(result["gradient_norms"])
    assert np.array_equal(frames, clip.frames)
