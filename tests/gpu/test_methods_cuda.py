# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods on CUDA against the CPU; on a machine with CUDA: pytest tests/gpu -m gpu."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.engine.clips import movie_job, run
from tests.engine.on_device import METHODS, RELATIVE_TOLERANCE, demo_backbone, method_gradient

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(autouse=True)
def full_float32():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_on_cuda_agrees_with_the_cpu(method):
    on_cpu, weights = method_gradient(*demo_backbone("cpu"), method)
    on_cuda, _ = method_gradient(*demo_backbone("cuda"), method, weights)
    assert float((on_cuda - on_cpu).norm() / on_cpu.norm()) < RELATIVE_TOLERANCE[method]


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_job_on_cuda_agrees_with_the_cpu_within_a_few_levels(tmp_path, method):
    job, _ = movie_job(tmp_path / "in")
    job = replace(job, method=method, precision="float32")
    on_cpu, _ = run(replace(job, device="cpu"), tmp_path / "cpu")
    on_cuda, result = run(replace(job, device="cuda"), tmp_path / "cuda")
    assert result["machine"]["device"].startswith("cuda")
    difference = np.abs(on_cpu.astype(int) - on_cuda.astype(int))
    # In assd a few places change sides of its threshold, and may move further.
    most = np.quantile(difference, 0.999) if method == "assd" else difference.max()
    assert most <= 8
    assert difference.mean() < 0.5


def test_equal_prompts_are_exact_on_cuda_in_bfloat16_too(tmp_path):
    job, clip = movie_job(tmp_path / "in", masked=False)
    job = replace(job, target_prompt=job.source_prompt, device="cuda", precision="bfloat16")
    frames, result = run(job, tmp_path / "job")
    assert result["gradient_norms"] == [0.0] * len(result["gradient_norms"])
    assert np.array_equal(frames, clip.frames)
