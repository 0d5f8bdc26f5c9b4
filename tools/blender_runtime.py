# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: finds or makes a Blender that can run our scripts without a window.

    python tools/blender_runtime.py ensure                  # one: named, on PATH, else the wheel
    python tools/blender_runtime.py ensure --version 4.5    # this release series
    python tools/blender_runtime.py ensure --all            # every supported series, one by one

Each line of output is a JSON object: series, status ("ready" or "not run"), kind, version,
command, reason. The exit status is 0 when the one asked for is ready, with --all when one is.

An installed Blender counts when the variable BLENDER or --blender names it, or when it is on PATH
and at least 4.2. Otherwise the ``bpy`` wheel of the series is installed, hash-checked, into an
environment of its own under build/blender/, from a Python of the version it was built for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "tools" / "blender_locks"
BUILD = ROOT / "build" / "blender"
MINIMUM = (4, 2)
PYTHON_OF_SERIES = {"4.2": "3.11", "4.5": "3.11", "5.0": "3.11", "5.2": "3.13"}
PREFERENCE = ("4.5", "5.2", "5.0", "4.2")  # long-term releases first
DEBIAN_PACKAGES = {  # shared library that bpy loads -> Debian package
    "libX11.so.6": "libx11-6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgomp.so.1": "libgomp1",
}


class NotAvailableError(Exception):
    """No Blender of this kind can be had here; the text says why and what to install."""


@dataclass(frozen=True)
class Runtime:
    """A Blender that runs Python scripts without a window.

    ``kind``: ``blender`` (the program) or ``bpy`` (the wheel, in a Python of its own).
    """

    kind: Literal["blender", "bpy"]
    version: str
    command: list[str] = field(default_factory=list)

    def argv(self, script: Path, *arguments: str) -> list[str]:
        """Command that runs a Python script inside this Blender; its exit status is kept."""
        if self.kind == "bpy":
            return [*self.command, str(script), *arguments]
        options = ["--background", "--factory-startup", "--python-exit-code", "1"]
        return [*self.command, *options, "--python", str(script), "--", *arguments]

    def env(self, resources: Path | None = None) -> dict[str, str]:
        """Environment for such a run, cut off from the user's own Blender settings.

        Settings and extensions live in ``resources``, a new temporary folder when None.
        """
        folder = resources or Path(tempfile.mkdtemp(prefix="delta-strip-blender-"))
        dropped = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
        variables = {name: value for name, value in os.environ.items() if name not in dropped}
        return variables | {"BLENDER_USER_RESOURCES": str(folder), "PYTHONUTF8": "1"}


def parse_blender_version(output: str) -> str | None:
    """Version in what ``blender --version`` prints, None when it is something else."""
    match = re.search(r"^Blender (\d+\.\d+(?:\.\d+)?)", output, re.MULTILINE)
    return match[1] if match else None


def series_of(version: str) -> str:
    """``4.5`` for ``4.5.15``."""
    return ".".join(version.split(".")[:2])


def missing_library(output: str) -> str | None:
    """The shared library that a failed import named, None when it failed otherwise."""
    match = re.search(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file", output)
    return match[1] if match else None


def find_installed(named: str | None) -> Runtime | None:
    """The Blender that was named (NotAvailableError: unusable), else a new enough one on PATH."""
    program = named or shutil.which("blender")
    if program is None:
        return None
    try:
        output = _output([program, "--version"], seconds=60)[1]
    except OSError as error:
        output = str(error)
    version = parse_blender_version(output)
    is_new_enough = version and tuple(map(int, version.split(".")[:2])) >= MINIMUM
    if version and is_new_enough:
        return Runtime("blender", version, [program])
    if named:
        what = f"is Blender {version}" if version else "does not answer like a Blender"
        raise NotAvailableError(f"{program} {what}; at least Blender 4.2 is needed.")
    return None


def python_candidates(version: str) -> list[Path]:
    """Where a CPython of this version (``3.11``) may be, in the order to try."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [Path(sys.executable)]
    # pyenv's shims are on PATH and answer only for the selected version: its own folder first.
    candidates += sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
    if on_path := shutil.which(f"python{version}"):
        candidates.append(Path(on_path))
    candidates += [Path(folder, f"python{version}") for folder in ("/usr/bin", "/usr/local/bin")]
    return [path for path in dict.fromkeys(candidates) if path.is_file()]


def find_python(version: str) -> Path:
    """A working CPython of this version (NotAvailableError: none), not a virtual environment."""
    probe = (
        "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys._base_executable)"
    )
    for candidate in python_candidates(version):
        status, output = _output([str(candidate), "-c", probe], seconds=30)
        found, _, base = output.strip().partition(" ")
        if status == 0 and found == version:
            return Path(base)
    raise NotAvailableError(
        f"No Python {version} with venv was found on PATH, in pyenv or in /usr: install one, "
        "or name an installed Blender with BLENDER or --blender."
    )


def preferred_series() -> str:
    """The series to take when any will do: the first whose Python is on this machine."""
    for series in PREFERENCE:
        try:
            find_python(PYTHON_OF_SERIES[series])
        except NotAvailableError:
            continue
        return series
    versions = " or ".join(sorted(set(PYTHON_OF_SERIES.values())))
    raise NotAvailableError(
        f"No Blender from 4.2 on and no Python {versions} was found: install one of them."
    )


def ensure_wheel(series: str) -> Runtime:
    """Make the environment of one ``bpy`` wheel (NotAvailableError: why not), or take it."""
    if series not in PYTHON_OF_SERIES:
        known = ", ".join(PYTHON_OF_SERIES)
        raise NotAvailableError(
            f"There is no locked bpy wheel for Blender {series}; there is {known}."
        )
    lock = LOCKS / f"bpy-{series}.txt"
    folder = BUILD / series
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    marker = folder / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (marker.is_file() and marker.read_text() == digest and python.exists()):
        base = find_python(PYTHON_OF_SERIES[series])
        shutil.rmtree(folder, ignore_errors=True)
        _must([str(base), "-m", "venv", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _must([*pip, "--require-hashes", "--only-binary=:all:", "-r", str(lock)])
        marker.write_text(digest)  # last: a folder without it is half an install
    return Runtime("bpy", _import_bpy(python), [str(python)])


def ensure(series: str | None = None, *, blender: str | None = None) -> Runtime:
    """Find or make a Blender.

    Args:
        series: Release series wanted (``4.5``); None for any.
        blender: An installed Blender to use; BLENDER in the environment counts as well. One of
            another series than the one wanted is left aside.

    Raises:
        NotAvailableError: With what to install.
    """
    installed = find_installed(blender or os.environ.get("BLENDER"))
    if installed and series in (None, series_of(installed.version)):
        return installed
    return ensure_wheel(series or preferred_series())


def report(series: str | None, blender: str | None) -> dict[str, object]:
    """One series as the command line prints it; a Blender that cannot be had is "not run"."""
    try:
        runtime = ensure(series, blender=blender)
    except NotAvailableError as error:
        return {"series": series, "status": "not run", "reason": str(error)}
    found = {"kind": runtime.kind, "version": runtime.version, "command": runtime.command}
    return {"series": series_of(runtime.version), "status": "ready", **found}


def _import_bpy(python: Path) -> str:
    """Import bpy and return Blender's version; install missing system libraries when we may."""
    code = "import bpy; print('Blender', bpy.app.version_string)"
    with tempfile.TemporaryDirectory() as resources:
        variables = Runtime("bpy", "").env(Path(resources))
        tried: set[str] = set()
        while True:
            status, output = _output([str(python), "-c", code], 120, variables)
            version = parse_blender_version(output)
            if status == 0 and version:
                return version
            library = missing_library(output)
            if library is None or library in tried:
                raise NotAvailableError(f"import bpy failed in {python}: {output.strip()[-500:]}")
            tried.add(library)
            _provide(library)


def _provide(library: str) -> None:
    """Install the Debian package of a shared library, or say how it is installed."""
    package = DEBIAN_PACKAGES.get(library)
    if package is None:
        raise NotAvailableError(f"Blender needs the system library {library}: install its package.")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (is_root and Path("/etc/debian_version").exists() and shutil.which("apt-get")):
        raise NotAvailableError(
            f"Blender needs the system library {library}. On Debian and Ubuntu: "
            f"sudo apt-get install {' '.join(sorted(set(DEBIAN_PACKAGES.values())))}"
        )
    if not _is_known_to_apt(package):
        _must(["apt-get", "update", "-q"])
    _must(["apt-get", "install", "-qy", "--no-install-recommends", package])


def _is_known_to_apt(package: str) -> bool:
    """Whether apt's package lists are there and name this package."""
    text = _output(["apt-cache", "policy", package], seconds=60)[1]
    return "Candidate:" in text and "Candidate: (none)" not in text


def _output(
    command: list[str], seconds: float, variables: dict[str, str] | None = None
) -> tuple[int, str]:
    """Exit status, and stdout with stderr; a program that hangs counts as failed."""
    try:
        result = subprocess.run(
            command,
            env=variables,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not answer within {seconds:g} seconds"
    return result.returncode, result.stdout


def _must(command: list[str]) -> None:
    """Run a step of an installation; its last lines become the reason when it fails."""
    status, output = _output(command, seconds=900)
    if status:
        tail = "\n".join(output.strip().splitlines()[-5:])
        raise NotAvailableError(f"{' '.join(command[:4])} … failed with status {status}: {tail}")


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Find or make a Blender that runs scripts.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("ensure", help="print the Blender to use, making it if needed")
    wanted = command.add_mutually_exclusive_group()
    wanted.add_argument("--version", metavar="X.Y", help="release series")
    wanted.add_argument("--all", action="store_true", help="every supported series")
    command.add_argument("--blender", metavar="PATH", help="an installed Blender")
    options = parser.parse_args(arguments)
    ready = 0
    for series in PYTHON_OF_SERIES if options.all else [options.version]:
        line = report(series, options.blender)
        ready += line["status"] == "ready"
        print(json.dumps(line), flush=True)
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
