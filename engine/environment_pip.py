# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the programs that a setup of the engine runs."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from .child_process import LineSink, run_lines
from .environment import EnvironmentSpec, lock_files, python_of
from .environment_place import beside
from .errors import EnvironmentSetupError

_TAIL_LINES = 12
_IMPORT = (
    "import torch, diffusers; print('torch', torch.__version__, 'diffusers', diffusers.__version__)"
)


def install_packages(
    spec: EnvironmentSpec, folder: Path, *, on_line: LineSink, cancel: threading.Event | None
) -> None:
    """Install the locks into an environment and import what the engine needs.

    What pip has downloaded whole it keeps in its cache: a setup after an interruption takes it
    from there.

    Raises:
        EnvironmentSetupError: With pip's last lines.
        CancelledError: ``cancel`` was set.
    """
    python = str(python_of(folder))
    files = [f"-r{file}" for file in lock_files(spec.locks, spec.flavour)]
    # Not --isolated: that would drop the user's index, certificate and link settings.
    command = [python, "-m", "pip", "install", "--require-hashes", "--only-binary=:all:"]
    command += ["--progress-bar=off", "--no-input", "--disable-pip-version-check"]
    command += [*index_options(spec), *files]
    failure = "pip could not install the engine's packages"
    run_step(command, failure, spec=spec, on_line=on_line, cancel=cancel)
    on_line("Checking the new environment.")
    command = [python, "-P", "-c", _IMPORT]
    failure = "The installed engine cannot be imported"
    run_step(command, failure, spec=spec, on_line=on_line, cancel=cancel)


@contextlib.contextmanager
def borrowed_pip(
    python: Path, *, on_line: LineSink, cancel: threading.Event | None
) -> Iterator[Path]:
    """The Python of a temporary environment that has pip; Blender's, and a system's, may have none.

    Raises:
        EnvironmentSetupError: It cannot be made.
        CancelledError: ``cancel`` was set.
    """
    with tempfile.TemporaryDirectory(prefix="delta-strip-pip-") as folder:
        command = [str(python), "-m", "venv", folder]
        if status := run_lines(command, on_line=on_line, cwd=Path(folder), cancel=cancel):
            raise EnvironmentSetupError(
                f"{python} cannot make a virtual environment (exit status {status}).",
                hint="Look at the log, or choose another Python.",
            )
        yield python_of(Path(folder))


def download_packages(
    spec: EnvironmentSpec,
    folder: Path,
    base_python: Path,
    *,
    on_line: LineSink,
    cancel: threading.Event | None,
) -> None:
    """Save the packages of the locks, for a computer without a network.

    Raises:
        EnvironmentSetupError: With pip's last lines.
        CancelledError: ``cancel`` was set.
    """
    files = [f"-r{file}" for file in lock_files(spec.locks, spec.flavour)]
    with borrowed_pip(base_python, on_line=on_line, cancel=cancel) as python:
        command = [str(python), "-m", "pip", "download", "-d", str(folder), "--require-hashes"]
        command += ["--only-binary=:all:", "--progress-bar=off", "--no-input"]
        command += ["--disable-pip-version-check", *index_options(spec), *files]
        failure = "pip could not download the engine's packages"
        run_step(command, failure, spec=spec, on_line=on_line, cancel=cancel)


def index_options(spec: EnvironmentSpec) -> list[str]:
    """pip's options for where packages come from."""
    if spec.wheels is not None:
        return ["--no-index", "--find-links", str(spec.wheels)]
    return ["--extra-index-url", spec.index_url] if spec.index_url else []


def run_step(
    command: list[str],
    failure: str,
    *,
    spec: EnvironmentSpec,
    on_line: LineSink,
    cancel: threading.Event | None,
    extra_environment: Mapping[str, str] | None = None,
) -> None:
    """Run one step beside the environment; an error carries the step's last lines.

    Raises:
        EnvironmentSetupError: It begins with `failure`.
        CancelledError: ``cancel`` was set.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def remember(line: str) -> None:
        tail.append(line)
        on_line(line)

    # Archives are unpacked on the disk whose space was checked: /tmp is often a small RAM disk.
    scratch = beside(spec.root, "tmp")
    scratch.mkdir(parents=True, exist_ok=True)
    variables = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    try:
        status = run_lines(
            command,
            on_line=remember,
            cwd=scratch,
            cancel=cancel,
            extra_environment={**variables, **(extra_environment or {})},
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if status:
        text = "\n".join(tail)
        raise EnvironmentSetupError(
            f"{failure} (exit status {status}). Its last lines:\n{text}\n",
            hint=_advice(text, spec),
        )


def _advice(output: str, spec: EnvironmentSpec) -> str:
    """What to do about pip's last lines."""
    if "DO NOT MATCH THE HASHES" in output:
        return "A downloaded package is not the one that was locked; nothing of it was installed."
    if "No matching distribution" in output and spec.wheels is not None:
        return (
            f"{spec.wheels} lacks that package, or has it for another system or Python. It must "
            "hold every package of vendor/locks, for this system and Python."
        )
    if "No matching distribution" in output:
        return "Choose the other flavour, or name a package index that has this build."
    if "No space left" in output:
        return "Free disk space and try again."
    return "Check the network connection and the package index, then try again."
