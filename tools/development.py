# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: makes the environments that the developers' commands need.

    python3 -m tools.development        # .venv with the engine's packages and the developers' tools

Runs on the system's Python, before anything is installed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from engine.environment import PYTHON_MAX, PYTHON_MIN, python_of
from engine.environment_setup import run_setup
from engine.errors import EngineError

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
DEVELOPER_LOCK = ROOT / "requirements-dev.txt"
_MARKER = VENV / "delta-strip-developer.sha256"


class SetupError(Exception):
    """The machine lacks something; the text says what to do."""


def check_python() -> None:
    """Refuse a Python that cannot hold the engine."""
    if PYTHON_MIN <= sys.version_info[:2] <= PYTHON_MAX:
        return
    found = ".".join(map(str, sys.version_info[:3]))
    raise SetupError(
        f"{sys.executable} is Python {found}; 3.11, 3.12 or 3.13 is needed. Install one and name "
        "it: make PYTHON=python3.11 …"
    )


def ensure_engine(print_line: Callable[[str], None]) -> Path:
    """Make or verify the engine's environment; returns its Python.

    Raises:
        SetupError: It cannot be made.
    """
    check_python()
    try:
        status = run_setup(
            root=VENV,
            locks=ROOT / "vendor" / "locks",
            flavour="auto",
            python=Path(sys.executable),
            print_line=print_line,
        )
    except EngineError as error:
        raise SetupError(str(error)) from error
    if status:
        raise SetupError(f"{VENV} is not usable: remove the folder and try again.")
    return python_of(VENV)


def ensure_developer_tools(print_line: Callable[[str], None]) -> Path:
    """Add the developers' tools to the engine's environment; returns its Python.

    Raises:
        SetupError: They cannot be installed.
    """
    python = ensure_engine(print_line)
    digest = hashlib.sha256(DEVELOPER_LOCK.read_bytes()).hexdigest()
    if _MARKER.is_file() and _MARKER.read_text(encoding="utf-8") == digest:
        return python
    print_line(f"Installing the developers' tools ({DEVELOPER_LOCK.name}).")
    install(python, DEVELOPER_LOCK)
    _MARKER.write_text(digest, encoding="utf-8")
    return python


def install(python: Path, lock: Path, *options: str) -> None:
    """Install a hashed lock file into an environment.

    Raises:
        SetupError: pip failed; the text ends with its last lines.
    """
    pip(python, "install", "--require-hashes", "--only-binary=:all:", *options, "-r", str(lock))


def pip(python: Path, *arguments: str) -> None:
    """Run pip quietly.

    Raises:
        SetupError: It failed; the text ends with its last lines.
    """
    command = [str(python), "-m", "pip", *arguments, "--quiet", "--no-input"]
    command += ["--disable-pip-version-check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-8:])
        raise SetupError(
            f"pip {arguments[0]} failed with status {result.returncode}. Check the network and "
            f"pip's package index. Its last lines:\n{tail}"
        )


def main() -> int:
    """The command line."""
    try:
        python = ensure_developer_tools(lambda line: print(line, flush=True))
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Ready: {python.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
