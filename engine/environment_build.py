# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): makes, repairs and removes the engine's environment.

``create`` builds beside the old environment (`environment_place`), has the new one edit two tiny
frames, writes its marker and only then puts it in the old one's place: a failed installation
leaves the old one working.
"""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from .child_process import LineSink, run_lines
from .environment import (
    MARKER,
    PYTHON_MAX,
    PYTHON_MIN,
    EnvironmentSpec,
    EnvironmentState,
    lock_files,
    python_of,
    verify,
    write_marker,
)
from .environment_packages import damaged_dist_infos
from .environment_pip import install_packages, run_step
from .environment_place import (
    beside,
    exclusive,
    put_interrupted_switch_right,
    require_space,
    rewrite_scripts,
    switch,
    take_away,
)
from .errors import EnvironmentSetupError
from .self_test import SelfTest, tiny_edit

_PROBE = (
    "import json, sys, ensurepip, venv; "
    "print(json.dumps([sys.version_info[:3], getattr(sys, '_base_executable', sys.executable)]))"
)


def create(
    spec: EnvironmentSpec,
    *,
    on_line: LineSink,
    cancel: threading.Event | None = None,
    self_test: SelfTest = tiny_edit,
) -> EnvironmentState:
    """Make the environment, replacing an older one only when the new one works.

    Args:
        spec: What to make.
        on_line: Receives each line of progress.
        cancel: Set it from another thread to stop; the old environment stays.
        self_test: Tries the new environment before it takes the old one's place.

    Raises:
        EnvironmentSetupError: With what happened, the value, the limit and what to do.
        CancelledError: ``cancel`` was set.
    """
    root = spec.root.absolute()
    spec = replace(spec, root=root, locks=spec.locks.absolute())
    lock_files(spec.locks, spec.flavour)  # raises before anything is touched
    version, base_python = probe_python(spec.python, on_line=on_line, cancel=cancel)
    with exclusive(root):
        put_interrupted_switch_right(root)
        require_space(root, spec.flavour)
        new = beside(root, "new")
        try:
            on_line(f"Making a Python {version} environment for the engine ({spec.flavour}).")
            command = [str(base_python), "-m", "venv", str(new)]
            failure = "The virtual environment could not be made"
            run_step(command, failure, spec=spec, on_line=on_line, cancel=cancel)
            install_packages(spec, new, on_line=on_line, cancel=cancel)
            on_line("Testing the engine with a tiny edit.")
            on_line(self_test(python_of(new), on_line, cancel))
            rewrite_scripts(new, root)
            write_marker(spec, new, version)
            switch(new, root)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    on_line(f"The engine's environment is ready: {root}")
    return verify(root, spec.locks)


def repair(
    spec: EnvironmentSpec,
    *,
    on_line: LineSink,
    cancel: threading.Event | None = None,
    self_test: SelfTest = tiny_edit,
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
        return create(spec, on_line=on_line, cancel=cancel, self_test=self_test)
    with exclusive(root):
        on_line(f"Installing again: {', '.join(state.damaged_packages)}")
        (root / MARKER).unlink()
        for folder in damaged_dist_infos(root, state.damaged_packages):
            shutil.rmtree(folder)
        install_packages(spec, root, on_line=on_line, cancel=cancel)
        on_line("Testing the engine with a tiny edit.")
        on_line(self_test(python_of(root), on_line, cancel))
        write_marker(spec, root, state.python_version)
    return verify(root, spec.locks)


def remove(root: Path) -> None:
    """Remove the environment, and what unfinished setups left beside it.

    Raises:
        EnvironmentSetupError: It was not made by `create`, or a program uses it.
    """
    root = root.absolute()
    if root.exists() and not ((root / MARKER).exists() or (root / "pyvenv.cfg").exists()):
        raise EnvironmentSetupError(
            f"{root} is no environment of the engine, so it is not removed.",
            hint="Choose the folder that the engine was installed to.",
        )
    with exclusive(root):
        take_away(root)
        put_interrupted_switch_right(root)
    shutil.rmtree(beside(root, "lock").parent, ignore_errors=True)


def probe_python(
    python: Path, *, on_line: LineSink, cancel: threading.Event | None = None
) -> tuple[str, Path]:
    """Return (version, base interpreter); refuse a Python that cannot hold the engine.

    Raises:
        EnvironmentSetupError: It cannot be started, is no Python, has no ``venv``, or is too old or
            too new.
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
    try:
        numbers, base = json.loads(lines[-1])
    except (IndexError, ValueError, TypeError):
        raise EnvironmentSetupError(
            f"{python} is no Python: its answer is {' '.join(lines)[:80]!r}.",
            hint="Choose another Python.",
        ) from None
    version = ".".join(str(number) for number in numbers)
    if not PYTHON_MIN <= tuple(numbers[:2]) <= PYTHON_MAX:
        limits = " to ".join(f"{major}.{minor}" for major, minor in (PYTHON_MIN, PYTHON_MAX))
        raise EnvironmentSetupError(
            f"{python} is Python {version}; the engine needs {limits}.",
            hint="Choose a Python in that range.",
        )
    on_line(f"Python {version}: {base}")
    return version, Path(base)
