# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences in a real Blender window: seen, and the engine installed from a folder.

python -m pytest tests/gui
"""

import json
import os
import shutil
import subprocess

import pytest

from tests.gui.test_window import CHROOT, FOLDER, ROOT, make_zip, why_not
from tests.unit.test_environment import write_locks

PICTURES = ("", "_below", "_ask", "_installing", "_installed")

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def facts() -> dict:
    """What happened in the window."""
    if reason := why_not():
        pytest.skip(reason)
    folder = FOLDER.with_name("gui-preferences")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_zip(folder / "delta_strip.zip")
    write_locks(folder / "locks", folder / "wheels")
    inside = {
        "DELTA_STRIP_GUI": "/project/build/gui-preferences",
        "GUI_TIMEOUT": "500",
        "BIND": str(ROOT),
        "KEEP": "DELTA_STRIP_GUI GUI_TIMEOUT",
    }
    command = ["tools/gui/in_chroot.sh", str(CHROOT), "tools/gui/gui_run.sh"]
    command += ["tests/gui/preferences_script.py", "build/gui-preferences/start.png", "5"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **inside},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    log = (folder / "start.log").read_text(encoding="utf-8", errors="replace")
    assert ended.returncode == 0, ended.stderr + log
    found: dict = {"folder": folder}
    for line in log.splitlines():
        if line.startswith("FACT "):
            found |= json.loads(line[5:])
    return found


def test_the_engine_is_installed_from_a_folder_without_a_network(facts):
    assert facts["problem"] == ""
    assert "passed its test edit" in facts["outcome"]
    assert facts["is_inside"]


def test_installing_takes_next_to_nothing_of_the_windows_thread(facts):
    # Its own time: how long the window stands still is up to software rendering and the machine.
    print(f"longest gap of a 50 ms timer: {facts['gap']} s")
    assert facts["start"] < 0.05
    assert facts["drawing"] < 0.05


def test_diagnostics_are_on_the_clipboard(facts):
    assert facts["copied"].startswith("Delta Strip: ")


def test_there_are_pictures_of_the_preferences(facts):
    for name in PICTURES:
        assert (facts["folder"] / f"preferences{name}.png").stat().st_size > 10_000
