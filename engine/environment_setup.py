# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the engine's ``setup`` command.

Chooses a build of torch, then has ``environment_build`` do the work.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .child_process import LineSink, run_lines
from .environment import EnvironmentSpec, Flavour, lock_files, verify
from .environment_build import create, probe_python, repair
from .environment_pip import borrowed_pip, download_packages, index_options
from .environment_place import NEEDED_GB
from .errors import EXIT_DONE, EXIT_FAILED, EnvironmentSetupError
from .graphics import Gpu, find_gpus, has_nvidia_driver
from .self_test import SelfTest, tiny_edit


def choose_flavour(
    spec: EnvironmentSpec, *, on_line: LineSink, cancel: threading.Event | None = None
) -> tuple[Flavour, str]:
    """Decide between the builds of torch, and say why.

    Args:
        spec: The environment to come; its ``flavour`` is ignored.
        on_line: Receives pip's output while it looks for the CPU build.
        cancel: Set it from another thread to stop.

    Returns:
        The flavour, and one sentence for the user with the reason and the size.

    Raises:
        EnvironmentSetupError: The Python cannot be used.
        CancelledError: ``cancel`` was set.
    """
    gpus = find_gpus() if has_nvidia_driver() else ()
    if has_nvidia_driver() and (usable := usable_gpus(gpus)) is not None:
        names = ", ".join(gpu.name for gpu in usable) or "An NVIDIA driver is present"
        return "cuda", f"{names}: CUDA build, about {NEEDED_GB['cuda']:g} GB."
    reason = gpus[0].problem if gpus else "No NVIDIA driver."
    if _has_cpu_build(spec, on_line=on_line, cancel=cancel):
        return "cpu", f"{reason} CPU build, about {NEEDED_GB['cpu']:g} GB."
    where = "the folder" if spec.wheels else "the package index"
    return "cuda", (
        f"{reason} There is no CPU build of torch for this Python and platform: "
        f"{where}'s default build, about {NEEDED_GB['cuda']:g} GB."
    )


def _has_cpu_build(
    spec: EnvironmentSpec, *, on_line: LineSink, cancel: threading.Event | None
) -> bool:
    """Whether the CPU build of torch can be had here."""
    if spec.wheels is not None:
        return any(spec.wheels.glob("torch-*+cpu*.whl"))
    _, base_python = probe_python(spec.python, on_line=on_line, cancel=cancel)
    wanted = lock_files(spec.locks.absolute(), "cpu")[1]
    with borrowed_pip(base_python, on_line=on_line, cancel=cancel) as python:
        command = [str(python), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "-r", str(wanted), *index_options(spec)]
        return run_lines(command, on_line=on_line, cwd=wanted.parent, cancel=cancel) == 0


def save_packages(
    spec: EnvironmentSpec,
    folder: Path,
    *,
    on_line: LineSink,
    cancel: threading.Event | None = None,
) -> None:
    """Save the packages that `create` needs into a folder, for a computer without a network.

    That computer must have the same system and a Python of the same version.

    Raises:
        EnvironmentSetupError: They cannot be had, or the folder cannot be written.
        CancelledError: ``cancel`` was set.
    """
    spec = replace(spec, root=spec.root.absolute(), locks=spec.locks.absolute())
    version, base_python = probe_python(spec.python, on_line=on_line, cancel=cancel)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentSetupError(
            f"{folder} cannot be made: {error.strerror or error}.", hint="Choose another folder."
        ) from None
    download_packages(spec, folder.absolute(), base_python, on_line=on_line, cancel=cancel)
    series = ".".join(version.split(".")[:2])
    on_line(f"{folder} holds the engine's packages for {sys.platform} and Python {series}.")


def usable_gpus(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...] | None:
    """The GPUs that the CUDA build can use; none known: empty; None when none of them can be."""
    return tuple(gpu for gpu in gpus if not gpu.problem) or (None if gpus else ())


def run_setup(
    *,
    root: Path,
    locks: Path,
    flavour: Literal["auto", "cpu", "cuda"],
    python: Path,
    print_line: LineSink,
    index_url: str = "",
    wheels: Path | None = None,
    verify_only: bool = False,
    must_repair: bool = False,
    download: Path | None = None,
    self_test: SelfTest = tiny_edit,
) -> int:
    """The ``setup`` command: verify, make or repair an environment, and say what was done.

    With ``download`` only the packages are saved, into that folder.

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
    spec = EnvironmentSpec(root, locks, before.flavour or "cpu", python, index_url, wheels)
    if flavour != "auto":
        spec = replace(spec, flavour=flavour)
    elif before.flavour is None:
        chosen, reason = choose_flavour(spec, on_line=lambda _: None)
        print_line(reason)
        spec = replace(spec, flavour=chosen)
    if download is not None:
        save_packages(spec, download, on_line=print_line)
        return EXIT_DONE
    if before.is_ready and before.flavour == spec.flavour and not must_repair:
        return EXIT_DONE
    make = repair if must_repair else create
    after = make(spec, on_line=print_line, self_test=self_test)
    print_line(f"{root}: {after.status} ({after.flavour}, {after.fingerprint})")
    return EXIT_DONE if after.is_ready else EXIT_FAILED
