# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): makes and repairs the engine's environment.

``create`` builds beside the old environment (in ``<root>.setup``), checks the new one, writes its
marker and only then puts it in the old one's place: a failed installation leaves the old one
working. A virtual environment can be renamed as long as it is used through its interpreter
(``python -m …``, which is all we do); the scripts in ``bin`` are rewritten on top of that.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .child_process import LineSink, run_lines
from .environment import (
    MARKER,
    PYTHON_MAX,
    PYTHON_MIN,
    EnvironmentSpec,
    EnvironmentState,
    Flavour,
    damaged_dist_infos,
    lock_files,
    python_of,
    verify,
    write_marker,
)
from .errors import EnvironmentSetupError
from .file_lock import FileLock

NEEDED_GB: dict[Flavour, float] = {"cpu": 2.0, "cuda": 8.0}  # measured 1.5 installed, plus archives
_TAIL_LINES = 12
_PROBE = (
    "import json, sys, ensurepip, venv; "
    "print(json.dumps([sys.version_info[:3], getattr(sys, '_base_executable', sys.executable)]))"
)
_SELF_CHECK = (
    "import torch, diffusers; print('torch', torch.__version__, 'diffusers', diffusers.__version__)"
)


def create(
    spec: EnvironmentSpec, *, on_line: LineSink, cancel: threading.Event | None = None
) -> EnvironmentState:
    """Make the environment, replacing an older one only when the new one works.

    Args:
        spec: What to make.
        on_line: Receives each line of progress.
        cancel: Set it from another thread to stop; the old environment stays.

    Raises:
        EnvironmentSetupError: With what happened, the value, the limit and what to do.
        CancelledError: ``cancel`` was set.
    """
    root = spec.root.absolute()
    spec = replace(spec, root=root, locks=spec.locks.absolute())
    lock_files(spec.locks, spec.flavour)  # raises before anything is touched
    version, base_python = probe_python(spec.python, on_line=on_line, cancel=cancel)
    with _exclusive(root):
        _put_interrupted_switch_right(root)
        _require_space(root, spec.flavour)
        new = _beside(root, "new")
        try:
            on_line(f"Making a Python {version} environment for the engine ({spec.flavour}).")
            command = [str(base_python), "-m", "venv", str(new)]
            failure = "The virtual environment could not be made"
            _run(command, failure, spec=spec, on_line=on_line, cancel=cancel)
            _install(spec, new, on_line=on_line, cancel=cancel)
            _rewrite_scripts(new, root)
            write_marker(spec, new, version)
            _switch(new, root)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    on_line(f"The engine's environment is ready: {root}")
    return verify(root, spec.locks)


def repair(
    spec: EnvironmentSpec, *, on_line: LineSink, cancel: threading.Event | None = None
) -> EnvironmentState:
    """Bring an environment into the state the locks describe, with as little work as possible.

    Damaged packages are installed again in place, keeping packages that the locks do not name;
    everything else (no environment, half an install, other locks or flavour) is made anew.

    Raises:
        EnvironmentSetupError: As in :func:`create`.
        CancelledError: ``cancel`` was set.
    """
    root = spec.root.absolute()
    spec = replace(spec, root=root, locks=spec.locks.absolute())
    state = verify(root, spec.locks, is_deep=True)
    if state.is_ready and state.flavour == spec.flavour:
        on_line("The engine's environment is complete; nothing to repair.")
        return state
    if not state.damaged_packages or state.flavour != spec.flavour:
        return create(spec, on_line=on_line, cancel=cancel)
    with _exclusive(root):
        on_line(f"Installing again: {', '.join(state.damaged_packages)}")
        (root / MARKER).unlink()
        for folder in damaged_dist_infos(root, state.damaged_packages):
            shutil.rmtree(folder)
        _install(spec, root, on_line=on_line, cancel=cancel)
        write_marker(spec, root, state.python_version)
    return verify(root, spec.locks)


def probe_python(
    python: Path, *, on_line: LineSink, cancel: threading.Event | None = None
) -> tuple[str, Path]:
    """Return (version, base interpreter); refuse a Python that cannot hold the engine.

    Raises:
        EnvironmentSetupError: It cannot be started, has no ``venv``, or is too old or too new.
    """
    lines: list[str] = []
    status = run_lines(
        [str(python), "-c", _PROBE], on_line=lines.append, cwd=Path.home(), cancel=cancel
    )
    if status:
        text = " ".join(lines[-2:])
        if "ensurepip" in text or "venv" in text:
            raise EnvironmentSetupError(
                f"{python} has no module for virtual environments: {text}.",
                hint="On Debian and Ubuntu: apt install python3-venv.",
            )
        raise EnvironmentSetupError(
            f"{python} ended with status {status}: {text}.", hint="Choose another Python."
        )
    numbers, base = json.loads(lines[-1])
    version = ".".join(str(number) for number in numbers)
    if not PYTHON_MIN <= tuple(numbers[:2]) <= PYTHON_MAX:
        limits = " to ".join(f"{major}.{minor}" for major, minor in (PYTHON_MIN, PYTHON_MAX))
        raise EnvironmentSetupError(
            f"{python} is Python {version}; the engine needs {limits}.",
            hint="Choose a Python in that range.",
        )
    on_line(f"Python {version}: {base}")
    return version, Path(base)


def _install(
    spec: EnvironmentSpec, folder: Path, *, on_line: LineSink, cancel: threading.Event | None
) -> None:
    """Install the locks into an environment and import what the engine needs."""
    python = str(python_of(folder))
    files = [f"-r{file}" for file in lock_files(spec.locks, spec.flavour)]
    # Not --isolated: that would drop the user's index, certificate and link settings.
    command = [python, "-m", "pip", "install", "--require-hashes", "--only-binary=:all:"]
    command += ["--progress-bar=off", "--no-input", "--disable-pip-version-check"]
    command += [*index_options(spec), *files]
    failure = "pip could not install the engine's packages"
    _run(command, failure, spec=spec, on_line=on_line, cancel=cancel)
    on_line("Checking the new environment.")
    command = [python, "-P", "-c", _SELF_CHECK]
    failure = "The installed engine cannot be imported"
    _run(command, failure, spec=spec, on_line=on_line, cancel=cancel)


def _run(
    command: list[str],
    failure: str,
    *,
    spec: EnvironmentSpec,
    on_line: LineSink,
    cancel: threading.Event | None,
) -> None:
    """Run one step beside the environment; an error carries the step's last lines."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def remember(line: str) -> None:
        tail.append(line)
        on_line(line)

    # Archives are unpacked on the disk whose space was checked: /tmp is often a small RAM disk.
    scratch = _beside(spec.root, "tmp")
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        status = run_lines(
            command,
            on_line=remember,
            cwd=scratch,
            cancel=cancel,
            extra_environment=dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch)),
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if status:
        text = "\n".join(tail)
        raise EnvironmentSetupError(
            f"{failure} (exit status {status}). Its last lines:\n{text}\n", hint=_advice(text)
        )


def _advice(output: str) -> str:
    """What to do about pip's last lines."""
    if "DO NOT MATCH THE HASHES" in output:
        return "A downloaded package is not the one that was locked; nothing of it was installed."
    if "No matching distribution" in output:
        return "Choose the other flavour, or name a package index that has this build."
    if "No space left" in output:
        return "Free disk space and try again."
    return "Check the network connection and the package index, then try again."


def index_options(spec: EnvironmentSpec) -> list[str]:
    """pip's options for the user's own package index."""
    return ["--extra-index-url", spec.index_url] if spec.index_url else []


def _beside(root: Path, role: str) -> Path:
    """A working place next to the environment, on the same disk; cleaned by the next setup."""
    return root.parent / f"{root.name}.setup" / role


def _require_space(root: Path, flavour: Flavour) -> None:
    """Refuse to begin when the disk cannot hold the environment."""
    folder = next(parent for parent in root.parents if parent.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < NEEDED_GB[flavour]:
        raise EnvironmentSetupError(
            f"{folder} has {free_gb:.1f} GB free; the {flavour} engine needs "
            f"{NEEDED_GB[flavour]:.1f} GB.",
            hint="Free some space, or choose another folder for the engine.",
        )


@contextlib.contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """Let one process at a time work on an environment; a crash releases the lock."""
    path = _beside(root, "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    if not lock.acquire():
        raise EnvironmentSetupError(
            f"Another program is installing into {root} right now.",
            hint="Wait until it has finished.",
        )
    try:
        yield
    finally:
        lock.release()


def _put_interrupted_switch_right(root: Path) -> None:
    """Undo or clean up what a crash in the middle of :func:`create` left behind."""
    old = _beside(root, "old")
    if old.exists() and not root.exists():
        old.rename(root)
    for role in ("old", "new", "tmp"):
        shutil.rmtree(_beside(root, role), ignore_errors=True)


def _rewrite_scripts(new: Path, root: Path) -> None:
    """Make the text files in ``bin`` name the folder that the environment will have."""
    before, after = os.fsencode(new), os.fsencode(root)
    for script in [new / "pyvenv.cfg", *python_of(new).parent.iterdir()]:
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if before in content and b"\0" not in content:  # .exe launchers stay as they are
                script.write_bytes(content.replace(before, after))


def _switch(new: Path, root: Path) -> None:
    """Put the new environment in the old one's place."""
    old = _beside(root, "old")
    try:
        if root.exists():
            root.rename(old)
        new.rename(root)
    except OSError as error:
        if old.exists() and not root.exists():
            old.rename(root)
        raise EnvironmentSetupError(
            f"The new environment cannot take the place of {root}: {error.strerror or error}.",
            hint="Stop the engine and every program that uses it, then try again.",
        ) from error
    shutil.rmtree(old, ignore_errors=True)
