# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the engine's ``setup`` command.

Chooses a build of torch, then has ``environment_build`` do the work.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .child_process import LineSink, run_lines
from .environment import EnvironmentSpec, Flavour, lock_files, verify
from .environment_build import NEEDED_GB, create, index_options, probe_python, repair
from .errors import EXIT_DONE, EXIT_FAILED


def choose_flavour(spec: EnvironmentSpec, *, on_line: LineSink) -> tuple[Flavour, str]:
    """Decide between the builds of torch, and say why.

    Args:
        spec: The environment to come; its ``flavour`` is ignored.
        on_line: Receives pip's output while it looks for the CPU build.

    Returns:
        The flavour, and one sentence for the user with the reason and the size.
    """
    if has_nvidia_driver():
        return "cuda", f"An NVIDIA driver is present: CUDA build, about {NEEDED_GB['cuda']:g} GB."
    spec = replace(spec, flavour="cpu", locks=spec.locks.absolute())
    _, base_python = probe_python(spec.python, on_line=on_line)
    wanted = lock_files(spec.locks, "cpu")[1]
    command = [str(base_python), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(wanted)]
    found = run_lines(command + index_options(spec), on_line=on_line, cwd=spec.locks) == 0
    if found:
        return "cpu", f"No NVIDIA driver: CPU build, about {NEEDED_GB['cpu']:g} GB."
    return "cuda", (
        "No NVIDIA driver, but pip finds no CPU build of torch for this Python and platform: "
        f"the package index's CUDA build, about {NEEDED_GB['cuda']:g} GB."
    )


def has_nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver loaded."""
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32", "nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists()


def run_setup(
    *,
    root: Path,
    locks: Path,
    flavour: Literal["auto", "cpu", "cuda"],
    python: Path,
    print_line: LineSink,
    index_url: str = "",
    verify_only: bool = False,
    must_repair: bool = False,
) -> int:
    """The ``setup`` command: verify, make or repair an environment, and say what was done.

    Returns:
        ``EXIT_DONE`` when the environment is ready, else ``EXIT_FAILED``.

    Raises:
        EngineError: Left to the caller, which is the process border.
    """
    before = verify(root, locks, is_deep=verify_only or must_repair)
    print_line(f"{root}: {before.status}")
    for problem in before.problems:
        print_line(f"  {problem}")
    if verify_only:
        return EXIT_DONE if before.is_ready else EXIT_FAILED
    spec = EnvironmentSpec(root, locks, before.flavour or "cpu", python, index_url)
    if flavour != "auto":
        spec = replace(spec, flavour=flavour)
    elif before.flavour is None:
        chosen, reason = choose_flavour(spec, on_line=lambda _: None)
        print_line(reason)
        spec = replace(spec, flavour=chosen)
    if before.is_ready and before.flavour == spec.flavour and not must_repair:
        return EXIT_DONE
    make = repair if must_repair else create
    after = make(spec, on_line=print_line)
    print_line(f"{root}: {after.status} ({after.flavour}, {after.fingerprint})")
    return EXIT_DONE if after.is_ready else EXIT_FAILED
