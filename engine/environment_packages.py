# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): what is installed in an environment.

Nothing is imported: the ``*.dist-info`` folders tell, in milliseconds, even when torch is broken.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path


def normalise(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_packages(root: Path) -> Path | None:
    """The environment's folder of packages, None when there is none."""
    if sys.platform == "win32":
        candidates = [root / "Lib" / "site-packages"]
    else:
        candidates = sorted((root / "lib").glob("python3.*/site-packages"))
    return next((folder for folder in candidates if folder.is_dir()), None)


def installed_packages(root: Path) -> dict[str, str]:
    """Normalised name -> version of what is installed whole; importing nothing."""
    return {
        name: version
        for name, (version, folder) in _dist_infos(root).items()
        if (folder / "METADATA").is_file() and (folder / "RECORD").is_file()
    }


def damaged_dist_infos(root: Path, names: tuple[str, ...]) -> list[Path]:
    """What is left of the ``*.dist-info`` folders of these packages."""
    found = _dist_infos(root)
    return [found[name][1] for name in names if name in found]


def _dist_infos(root: Path) -> dict[str, tuple[str, Path]]:
    """Normalised name -> (version, folder) of every ``*.dist-info`` folder."""
    folder = site_packages(root)
    found: dict[str, tuple[str, Path]] = {}
    for path in sorted(folder.glob("*.dist-info")) if folder else ():
        name, _, version = path.name.removesuffix(".dist-info").partition("-")
        found[normalise(name)] = (version, path)
    return found


def compare_packages(
    root: Path, expected: dict[str, str], *, is_deep: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (problems, names) of the packages that are missing, different or incomplete."""
    installed = installed_packages(root)
    folders = _dist_infos(root)
    problems: dict[str, str] = {}
    for name, version in expected.items():
        if name not in installed:
            problems[name] = f"{name} {version} is missing."
        elif installed[name] != version:
            problems[name] = f"{name} is {installed[name]} instead of {version}."
        elif is_deep and (lost := _lost_files(folders[name][1])):
            problems[name] = f"{name} {version} has {len(lost)} damaged files, first {lost[0]}."
    return tuple(problems.values()), tuple(problems)


def _lost_files(dist_info: Path) -> list[str]:
    """Files of a package that are gone or of another size; scripts are only looked for."""
    lost = []
    with (dist_info / "RECORD").open(encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            name, size = row[0], row[2] if len(row) > 2 else ""
            path = dist_info.parent / name
            has_size = size.isdigit() and not name.startswith("..")  # scripts were rewritten
            if name.endswith(".pyc"):
                continue  # a cache: made again when it is missing
            if not path.is_file() or (has_size and path.stat().st_size != int(size)):
                lost.append(name)
    return lost
