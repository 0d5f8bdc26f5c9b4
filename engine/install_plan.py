# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): what an installation would do, before it begins."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .environment import Flavour
from .environment_place import NEEDED_GB, free_bytes
from .environment_setup import usable_gpus
from .graphics import Gpu

Build = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class InstallPlan:
    """What an installation would need and find.

    Attributes:
        facts: Sentences about folder, size and GPU.
        problems: What would keep it, or edits on the GPU, from working.
        has_space: Whether the disk can hold it.
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    has_space: bool


def plan_install(root: Path, build: Build, gpus: tuple[Gpu, ...], *, is_local: bool) -> InstallPlan:
    """Look at the disk and the GPUs; quick, and without a network.

    Args:
        root: Folder of the environment.
        build: Which build of torch is asked for.
        gpus: What `find_gpus` found.
        is_local: Whether packages come from a folder.
    """
    flavour = _expected(build, gpus)
    source = "from a folder" if is_local else "downloaded"
    free = free_bytes(root) / 1e9
    has_space = free >= NEEDED_GB[flavour]
    facts = [
        f"About {NEEDED_GB[flavour]:g} GB, {source}, for {_name(flavour)}.",
        f"Into {root}; its disk has {free:.0f} GB free.",
        *([f"Found: {gpu.description}." for gpu in gpus] or ["No NVIDIA GPU was found."]),
    ]
    if build == "auto" and flavour == "cpu" and sys.platform == "linux" and not is_local:
        facts.append(
            "Where the package index has no build for the processor, its default build is taken: "
            f"about {NEEDED_GB['cuda']:g} GB."
        )
    problems = [gpu.problem for gpu in gpus if gpu.problem and build != "cpu"]
    if build == "cuda" and not gpus:
        problems.append("No NVIDIA GPU was found; the engine would use the processor.")
    if flavour == "cuda" and sys.platform != "linux":
        problems.append(
            "For this system the package index has no CUDA build: it would use "
            + ("the Apple GPU or the processor." if sys.platform == "darwin" else "the processor.")
        )
    if not has_space:
        problems.append(
            f"{NEEDED_GB[flavour]:g} GB are needed. Free some, or choose another folder."
        )
    return InstallPlan(tuple(facts), tuple(dict.fromkeys(problems)), has_space)


def _expected(build: Build, gpus: tuple[Gpu, ...]) -> Flavour:
    if build != "auto":
        return build
    return "cuda" if usable_gpus(gpus) else "cpu"


def _name(flavour: Flavour) -> str:
    return "NVIDIA GPUs (CUDA build)" if flavour == "cuda" else "the processor (CPU build)"
