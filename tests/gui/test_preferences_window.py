# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences in a real Blender window: seen, and the engine installed from a folder.

python -m pytest tests/gui
"""

import shutil

import pytest

from tests.gui.window import ROOT, make_zip, run_blender, why_not
from tests.unit.test_environment import write_locks

PICTURES = ("", "_below", "_ask", "_installing", "_installed")

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def facts() -> dict:
    """What happened in the window."""
    if reason := why_not():
        pytest.skip(reason)
    folder = ROOT / "build" / "gui-preferences"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_zip(folder / "delta_strip.zip")
    write_locks(folder / "locks", folder / "wheels")
    return {"folder": folder, **run_blender("preferences_script.py", folder, seconds=500)}


def test_the_engine_is_installed_from_a_folder_without_a_network(facts):
    assert facts["problem"] == ""
    assert "passed its test edit" in facts["outcome"]
    assert facts["is_inside"]


def test_installing_takes_next_to_nothing_of_the_windows_thread(facts):
    # Its own time: how long the window stands still is up to software rendering and the machine.
    print(f"\nlongest gap of a 50 ms timer: {facts['gaps']['setup']['longest']} s")
    assert facts["start"] < 0.05
    assert facts["drawing"] < 0.05


def test_diagnostics_are_on_the_clipboard(facts):
    assert facts["copied"].startswith("Delta Strip: ")


def test_there_are_pictures_of_the_preferences(facts):
    for name in PICTURES:
        assert (facts["folder"] / f"preferences{name}.png").stat().st_size > 10_000
