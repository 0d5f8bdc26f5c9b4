# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): facts and logs as one text to give away."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

LOG_LINES = 300


def report(facts: Mapping[str, str], logs: Mapping[str, Path], *, home: Path, user: str) -> str:
    """Facts, then the last lines of each log, without the user's name.

    Args:
        facts: What to say, by name; several lines each are fine.
        logs: Log files by title; a missing one is said to be so.
        home: The user's folder.
        user: The user's name.
    """
    parts = [f"{name}: {value}" for name, value in facts.items()]
    for title, path in logs.items():
        parts += ["", f"== {title} ==", *(last_lines(path) or ["(none)"])]
    return redact("\n".join(parts) + "\n", home=home, user=user)


def last_lines(path: Path, count: int = LOG_LINES) -> list[str]:
    """The last lines of a text file; none when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:]


def redact(text: str, *, home: Path, user: str) -> str:
    """The text with ~ for the user's folder and <user> for their name, however it is written."""
    folder = str(home)
    for form in (folder, folder.replace("\\", "/"), folder.replace("\\", "\\\\")):
        if len(form) > 1:
            text = re.sub(re.escape(form) + r"(?!\w)", "~", text, flags=re.IGNORECASE)
    for name in {user, home.name} - {""}:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<user>", text, flags=re.IGNORECASE)
    return text
