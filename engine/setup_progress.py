# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): how far a setup of the engine is, from its output.

pip's own progress cannot be read by a program before pip 24.1, and Blender's Pythons have older
ones. So packages are counted, and the file that is being downloaded is looked at.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

# Where a phase begins, as a share of the whole: measured on the CPU build, 54 s.
_BEGINNINGS = (
    ("Making a Python", 0.01, "Making the environment"),
    ("Installing collected packages", 0.7, "Unpacking the packages"),
    ("Installing again", 0.01, "Installing again what is damaged"),
    ("Checking the new environment", 0.9, "Checking the new environment"),
    ("Testing the engine", 0.93, "Testing the engine with a tiny edit"),
)
_FIRST_PACKAGE, _LAST_PACKAGE = 0.05, 0.7
_PACKAGE = re.compile(r"Collecting ([\w.-]+)|Processing (?:.*[/\\])?(\w[\w.]*)-[^/\\ ]*\.whl")
_DOWNLOAD = re.compile(r"\s*Downloading .*?([^/\s]+) \(([\d.]+) ([kMG]?B)\)")
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


class SetupProgress:
    """Reads the lines of a setup.

    Args:
        package_count: Packages that the locks name; some are for other systems.
        scratch: Folder that pip downloads into.
    """

    def __init__(self, package_count: int, scratch: Path) -> None:
        self.factor = 0.0
        self._text = "Preparing"
        self._package_count = max(1, package_count)
        self._packages = 0
        self._scratch = scratch
        self._file, self._file_bytes = "", 0

    def feed(self, line: str) -> None:
        """Take a line of `create` or `repair`."""
        for beginning, factor, text in _BEGINNINGS:
            if line.startswith(beginning):
                self.factor, self._text, self._file = factor, text, ""
                return
        if self.factor >= _LAST_PACKAGE:
            return
        if match := _PACKAGE.match(line):
            self._packages += 1
            share = min(1.0, self._packages / self._package_count)
            self.factor = _FIRST_PACKAGE + (_LAST_PACKAGE - _FIRST_PACKAGE) * share
            name = match[1] or match[2]
            self._text = f"Package {self._packages} of about {self._package_count}: {name}"
            self._file = ""
        elif match := _DOWNLOAD.match(line):
            self._file, self._file_bytes = match[1], int(float(match[2]) * _UNITS[match[3]])

    @property
    def text(self) -> str:
        """What happens now, in a few words; looks at the file that is being downloaded."""
        if not self._file:
            return self._text
        done = 0
        with contextlib.suppress(OSError):  # it was moved in this moment
            done = sum(path.stat().st_size for path in self._scratch.glob(f"pip-*/{self._file}"))
        return f"{self._text}, {done / 1e6:.0f} of {self._file_bytes / 1e6:.0f} MB"
