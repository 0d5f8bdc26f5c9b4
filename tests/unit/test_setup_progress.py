# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an installation is, read from what pip prints."""

from __future__ import annotations

from engine.setup_progress import SetupProgress

LINES = """\
Making a Python 3.11.7 environment for the engine (cpu).
Collecting accelerate==1.14.0 (from -r /locks/common.txt (line 3))
  Downloading accelerate-1.14.0-py3-none-any.whl (374 kB)
Processing /home/me/my wheels/huggingface_hub-0.36.0-py3-none-any.whl (from -r c.txt (line 9))
Collecting torch==2.13.0 (from -r /locks/torch-cuda.txt (line 97))
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (858.1 MB)
Installing collected packages: accelerate, torch
Successfully installed accelerate-1.14.0 torch-2.13.0
Checking the new environment.
Testing the engine with a tiny edit.
""".splitlines()


def test_the_bar_only_grows_and_is_not_full_before_the_end(tmp_path):
    progress = SetupProgress(4, tmp_path)
    factors = []
    for line in LINES:
        progress.feed(line)
        factors.append(progress.factor)
    assert factors == sorted(factors)
    assert 0 < factors[0] < factors[-1] < 1


def test_the_package_and_its_size_are_named(tmp_path):
    progress = SetupProgress(4, tmp_path)
    texts = []
    for line in LINES:
        progress.feed(line)
        texts.append(progress.text)
    assert texts[1] == "Package 1 of about 4: accelerate"
    assert texts[3] == "Package 2 of about 4: huggingface_hub"
    assert texts[5] == "Package 3 of about 4: torch, 0 of 858 MB"
    assert texts[6] == "Unpacking the packages"
    assert texts[-1] == "Testing the engine with a tiny edit"


def test_what_has_arrived_of_a_large_package_is_counted(tmp_path):
    progress = SetupProgress(4, tmp_path)
    for line in LINES[:6]:
        progress.feed(line)
    archive = tmp_path / "pip-unpack-abc" / "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    archive.parent.mkdir()
    archive.write_bytes(bytes(3_000_000))
    assert progress.text.endswith("torch, 3 of 858 MB")


def test_more_packages_than_expected_do_not_overflow(tmp_path):
    progress = SetupProgress(1, tmp_path)
    for _ in range(3):
        progress.feed(LINES[1])
    assert progress.factor <= 0.7
