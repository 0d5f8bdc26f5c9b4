# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): whether something is there, without an exception.

`Path.is_file` of Python 3.11 to 3.13 raises for a drive that has gone, a folder that nobody may
look into and a name that is too long. Where Blender draws, that would empty the panel.
"""

from __future__ import annotations

import os
from pathlib import Path


def has_file(path: Path) -> bool:
    """Whether a file is there and can be reached."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def has_folder(path: Path) -> bool:
    """Whether a folder is there and can be reached."""
    return os.path.isdir(path)  # noqa: PTH112 - see above
