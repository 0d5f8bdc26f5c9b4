# SPDX-License-Identifier: GPL-3.0-or-later
"""What is copied when someone asks for help, and what is not."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest

from engine.diagnostics import LOG_LINES, redact, report

HOME = Path("/homes/maria")


def test_the_last_lines_of_each_log_come_after_the_facts(tmp_path):
    log = tmp_path / "engine.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)), encoding="utf-8")
    logs = {"Engine": log, "Setup": tmp_path / "none.log"}
    text = report({"Blender": "4.5.1"}, logs, home=HOME, user="maria")
    lines = text.splitlines()
    assert lines[0] == "Blender: 4.5.1"
    assert lines[2] == "== Engine =="
    assert lines[3] == f"line {1000 - LOG_LINES}"
    assert lines[-4:] == ["line 999", "", "== Setup ==", "(none)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/homes/maria/films/a.mp4", "~/films/a.mp4"),
        ("/homes/marianne/a.mp4", "/homes/marianne/a.mp4"),
        ("/media/maria/Disk/a.mp4", "/media/<user>/Disk/a.mp4"),
        ("owner: Maria", "owner: <user>"),
        ("samaria", "samaria"),
    ],
)
def test_the_users_name_is_nowhere(text, expected):
    assert redact(text, home=HOME, user="maria") == expected


def test_windows_paths_are_redacted_in_all_their_spellings():
    home = PureWindowsPath("C:\\Users\\Maria")
    text = 'C:\\Users\\Maria\\a "C:\\\\Users\\\\Maria\\\\a" c:/users/maria/a'
    assert redact(text, home=home, user="Maria") == '~\\a "~\\\\a" ~/a'  # type: ignore[arg-type]
