# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known before an installation: GPUs, driver, disk, build."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from engine import environment_place, environment_setup, graphics
from engine.graphics import Gpu, find_gpus, parse_gpus
from engine.install_plan import plan_install

GOOD = Gpu("NVIDIA GeForce RTX 3090", "580.65.06", 24 * 2**30, (8, 6))
OLD_DRIVER = Gpu("NVIDIA GeForce RTX 3090", "535.183.01", 24 * 2**30, (8, 6))
OLD_CHIP = Gpu("NVIDIA GeForce GTX 1080 Ti", "580.65.06", 11 * 2**30, (6, 1))


@pytest.fixture
def disk(monkeypatch):
    """Say how many GB are free."""

    def set_free(free_gb: float) -> None:
        usage = SimpleNamespace(total=10**12, used=0, free=int(free_gb * 1e9))
        monkeypatch.setattr(environment_place.shutil, "disk_usage", lambda _: usage)

    set_free(100)
    return set_free


def test_the_drivers_answer_becomes_gpus():
    text = "NVIDIA GeForce RTX 3090, 580.65.06, 24576, 8.6\nNVIDIA H200, 580.65.06, 143771, 9.0\n"
    first, second = parse_gpus(text)
    assert first == GOOD
    assert second.description == "NVIDIA H200, 140 GB, driver 580.65.06"
    assert parse_gpus("Tesla K80, 470.1, [N/A]\n") == (Gpu("Tesla K80", "470.1", 0, None),)
    assert parse_gpus("No devices were found\n") == ()


def test_a_gpu_or_driver_that_is_too_old_is_named_with_the_limit():
    assert GOOD.problem == ""
    assert "535.183.01 is too old; the CUDA build needs 580 or newer" in OLD_DRIVER.problem
    assert "compute capability 6.1; the CUDA build needs 7.5" in OLD_CHIP.problem


@pytest.mark.skipif(os.name != "posix", reason="the stand-in program is a shell script")
def test_a_driver_without_the_newest_question_is_asked_again(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\ncase $1 in *compute_cap*) exit 2;; esac\necho 'Tesla K80, 470.1, 11441'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [gpu.name for gpu in find_gpus()] == ["Tesla K80"]


def test_a_machine_without_the_program_has_no_gpu(monkeypatch):
    monkeypatch.setattr(graphics.shutil, "which", lambda _: None)
    assert find_gpus() == ()


def test_the_plan_says_size_space_and_gpu(tmp_path, disk):
    plan = plan_install(tmp_path / "env", "auto", (GOOD,), is_local=False)
    assert plan.facts[0] == "About 8 GB, downloaded, for NVIDIA GPUs (CUDA build)."
    assert plan.facts[1].endswith("its disk has 100 GB free.")
    assert "RTX 3090, 24 GB, driver 580.65.06" in plan.facts[2]
    assert plan.has_space


def test_the_plan_falls_back_to_the_processor_and_says_why(tmp_path, disk):
    plan = plan_install(tmp_path / "env", "auto", (OLD_CHIP,), is_local=True)
    assert plan.facts[0] == "About 2 GB, from a folder, for the processor (CPU build)."
    assert plan.problems == (OLD_CHIP.problem,)
    assert plan_install(tmp_path / "env", "cpu", (OLD_CHIP,), is_local=True).problems == ()


def test_too_little_space_is_in_the_plan(tmp_path, disk):
    disk(1.5)
    plan = plan_install(tmp_path / "env", "cpu", (), is_local=False)
    assert not plan.has_space
    assert plan.problems == ("2 GB are needed. Free some, or choose another folder.",)


def test_an_unusable_gpu_gets_the_processors_build(monkeypatch, tmp_path):
    monkeypatch.setattr(environment_setup, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(environment_setup, "find_gpus", lambda: (OLD_DRIVER,))
    monkeypatch.setattr(environment_setup, "_has_cpu_build", lambda *_, **__: True)
    spec = environment_setup.EnvironmentSpec(tmp_path / "env", tmp_path, "cuda", tmp_path)
    flavour, reason = environment_setup.choose_flavour(spec, on_line=print)
    assert flavour == "cpu"
    assert reason.startswith("The NVIDIA driver 535.183.01 is too old")
