# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): what state the engine's environment is in.

The environment is a virtual environment made from the hashed locks in ``vendor/locks``
(``environment_build`` makes it). The last thing written into it is a marker file with the locks'
sha256 and the packages found; a folder without a marker is half an install. Nothing here imports
a package of the environment: its ``*.dist-info`` folders tell what is installed, so the state is
known in milliseconds even when torch is broken.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .environment_packages import compare_packages, installed_packages, normalise
from .errors import EnvironmentSetupError

Flavour = Literal["cpu", "cuda"]
Status = Literal["missing", "outdated", "damaged", "ready"]

FLAVOURS: tuple[Flavour, ...] = ("cpu", "cuda")
MARKER = "delta-strip-engine.json"
MARKER_SCHEMA = 1
PYTHON_MIN = (3, 11)
PYTHON_MAX = (3, 13)


@dataclass(frozen=True)
class EnvironmentSpec:
    """Everything that decides what an engine environment looks like.

    Attributes:
        root: Folder of the virtual environment.
        locks: Folder with common.txt, torch-cpu.txt and torch-cuda.txt.
        flavour: Which build of torch.
        python: Interpreter the environment is made from (3.11 to 3.13).
        index_url: An extra package index of the user's; empty for none.
        wheels: Folder that all packages come from, without a network; none: package indexes.
    """

    root: Path
    locks: Path
    flavour: Flavour
    python: Path
    index_url: str = ""
    wheels: Path | None = None

    def __post_init__(self) -> None:
        if self.flavour not in FLAVOURS:
            raise EnvironmentSetupError(
                f"The engine's flavour is {self.flavour!r}; it must be one of {FLAVOURS}.",
                hint="Choose cpu or cuda.",
            )
        if self.index_url and not self.index_url.startswith(("https://", "http://", "file://")):
            raise EnvironmentSetupError(
                f"The package index {self.index_url!r} is not an https, http or file address.",
                hint="Enter the full address, or leave it empty.",
            )
        if self.wheels is not None and not any(self.wheels.glob("*.whl")):
            raise EnvironmentSetupError(
                f"{self.wheels} holds no packages (.whl files).",
                hint="Choose the folder that the engine's packages were saved to.",
            )


@dataclass(frozen=True)
class EnvironmentState:
    """What :func:`verify` found.

    Attributes:
        status: ``missing`` (no folder), ``outdated`` (made from other locks), ``damaged`` (half an
            install, or packages missing) or ``ready``.
        problems: One short sentence per thing that is wrong; empty when ready.
        flavour: Build of torch, None when unknown.
        python_version: Such as ``3.11.7``; empty when unknown.
        fingerprint: Identifies locks, flavour, Python and platform; empty unless ready.
        damaged_packages: Names of the packages to install again.
        packages: Locked packages and their versions, by normalised name; empty when unknown.
        bytes: Size when it was made; 0 when unknown.
    """

    status: Status
    problems: tuple[str, ...] = ()
    flavour: Flavour | None = None
    python_version: str = ""
    fingerprint: str = ""
    damaged_packages: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether the engine can be started from it."""
        return self.status == "ready"


def python_of(root: Path) -> Path:
    """Path of the environment's interpreter, whether it exists or not."""
    if sys.platform == "win32":
        return root / "Scripts" / "python.exe"
    return root / "bin" / "python"


def lock_files(locks: Path, flavour: Flavour) -> tuple[Path, Path]:
    """The two lock files that make up one flavour.

    Raises:
        EnvironmentSetupError: One of them does not exist.
    """
    files = (locks / "common.txt", locks / f"torch-{flavour}.txt")
    for file in files:
        if not file.is_file():
            raise EnvironmentSetupError(
                f"The lock file {file} does not exist.", hint="Reinstall the extension."
            )
    return files


def lock_digests(locks: Path, flavour: Flavour) -> dict[str, str]:
    """sha256 of each lock file's requirements, by file name.

    Comments and line ends do not count: changing them must not cost anyone a new download.
    """
    digests = {}
    for file in lock_files(locks, flavour):
        lines = file.read_text(encoding="utf-8").splitlines()
        requirements = "\n".join(line for line in lines if not line.startswith("#"))
        digests[file.name] = hashlib.sha256(requirements.encode()).hexdigest()
    return digests


def locked_names(locks: Path, flavour: Flavour) -> set[str]:
    """Normalised names of all packages that a flavour's locks name, for any platform."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in lock_files(locks, flavour))
    return {normalise(name) for name in re.findall(r"^([A-Za-z0-9][\w.-]*)\s*==", text, re.M)}


def fingerprint(
    digests: dict[str, str], flavour: str, python_version: str, packages: dict[str, str]
) -> str:
    """A short name for an environment: equal locks, flavour, Python and platform, equal name."""
    parts = {
        "locks": digests,
        "flavour": flavour,
        "python": python_version,
        "platform": f"{sys.platform}-{platform.machine().lower()}",
        "packages": packages,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def write_marker(spec: EnvironmentSpec, root: Path, python_version: str) -> None:
    """Write the marker that turns a folder into a finished environment; call it last."""
    digests = lock_digests(spec.locks, spec.flavour)
    locked = locked_names(spec.locks, spec.flavour)
    packages = {n: v for n, v in sorted(installed_packages(root).items()) if n in locked}
    marker = {
        "schema": MARKER_SCHEMA,
        "locks": digests,
        "flavour": spec.flavour,
        "python": python_version,
        "packages": packages,
        "fingerprint": fingerprint(digests, spec.flavour, python_version, packages),
        "bytes": _size(root),
    }
    temporary = root / f"{MARKER}.part"
    temporary.write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    temporary.replace(root / MARKER)


def read_marker(root: Path) -> dict[str, Any] | None:
    """The marker's contents; None when it is absent, unreadable or of another schema."""
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fields = {"locks": dict, "flavour": str, "python": str, "packages": dict, "fingerprint": str}
    is_whole = (
        isinstance(marker, dict)
        and marker.get("schema") == MARKER_SCHEMA
        and marker.get("flavour") in FLAVOURS
        and all(isinstance(marker.get(name), kind) for name, kind in fields.items())
    )
    return marker if is_whole else None


def verify(root: Path, locks: Path, *, is_deep: bool = False) -> EnvironmentState:
    """Find out whether an environment is missing, outdated, damaged or ready.

    Packages that the locks do not name are allowed.

    Args:
        root: Folder of the environment.
        locks: Folder of the lock files it should have been made from.
        is_deep: Also look whether every file of every locked package is there, in its size
            (about a second instead of a few milliseconds).
    """
    if not root.is_dir():
        return EnvironmentState("missing", (f"There is no environment at {root}.",))
    marker = read_marker(root)
    if marker is None:
        return EnvironmentState("damaged", ("The installation was not finished.",))
    size = marker.get("bytes")  # markers of version 0.1 have none
    known: dict[str, Any] = {
        "flavour": marker["flavour"],
        "python_version": marker["python"],
        "packages": marker["packages"],
        "bytes": size if isinstance(size, int) else 0,
    }
    if not python_of(root).exists():  # False also for a link whose target was uninstalled
        problem = f"The Python it was made from is gone: {python_of(root)}."
        return EnvironmentState("damaged", (problem,), **known)

    problems, damaged = compare_packages(root, marker["packages"], is_deep=is_deep)
    if damaged:
        return EnvironmentState("damaged", problems, **known, damaged_packages=damaged)
    digests = lock_digests(locks, marker["flavour"])
    changed = [name for name in digests if digests[name] != marker["locks"].get(name)]
    if changed:
        problem = f"It was made from another {' and '.join(changed)}."
        return EnvironmentState("outdated", (problem,), **known)
    return EnvironmentState("ready", **known, fingerprint=marker["fingerprint"])


def _size(root: Path) -> int:
    """Bytes of all files; links count as themselves."""
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
