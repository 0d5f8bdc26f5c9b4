# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Blender window: the button is pressed with the mouse, the window never freezes.

    python -m pytest tests/gui

Needs root and the chroot that `tools/gui/make_chroot.sh` makes.
"""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROOT = ROOT / "build" / "gui-chroot"
FOLDER = ROOT / "build" / "gui"
PACKED = ("__init__.py", "blender_manifest.toml", "preferences.py", "LICENSE")
PACKED_FOLDERS = ("engine", "operators", "panels", "vendor")

pytestmark = pytest.mark.gui


def why_not() -> str:
    if os.name != "posix" or os.geteuid() != 0:
        return "a chroot needs root"
    if not (CHROOT / ".complete").exists():
        return f"{CHROOT} is not there: run tools/gui/make_chroot.sh"
    return "" if shutil.which("unshare") else "unshare is not installed"


def make_zip(path: Path) -> None:
    """What Blender's builder packs; that it is exactly this is tested in tests/blender."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        files = [ROOT / name for name in PACKED]
        files += [path for name in PACKED_FOLDERS for path in sorted((ROOT / name).rglob("*"))]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(ROOT))


def make_frames(folder: Path) -> None:
    """A red ball over grass, from the procedural world."""
    pytest.importorskip("imageio", reason="the pictures need the engine's packages")
    from demo.movie import write_images
    from demo.sampling import sample_spec
    from demo.world import render_frames

    spec = sample_spec(
        7, frames=48, width=640, height=360, shape="ball", color="red", background="grass"
    )
    write_images(folder, (frame.image for frame in render_frames(spec)))


@pytest.fixture(scope="module")
def facts() -> dict:
    """What happened in the window."""
    if reason := why_not():
        pytest.skip(reason)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    make_zip(FOLDER / "delta_strip.zip")
    make_frames(FOLDER / "frames")
    inside = {
        "DELTA_STRIP_GUI": "/project/build/gui",
        "DELTA_STRIP_PYTHON": "/usr/bin/python3",
        "DELTA_STRIP_BUTTON": os.environ.get("DELTA_STRIP_BUTTON", "1407,714"),
        "BIND": str(ROOT),
        "GUI_TIMEOUT": "300",  # of a busy machine
        "KEEP": "DELTA_STRIP_GUI DELTA_STRIP_PYTHON DELTA_STRIP_BUTTON GUI_TIMEOUT",
    }
    command = ["tools/gui/in_chroot.sh", str(CHROOT), "tools/gui/gui_run.sh"]
    command += ["tests/gui/window_script.py", "build/gui/start.png", "5"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **inside},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    log = (FOLDER / "start.log").read_text(encoding="utf-8", errors="replace")
    assert ended.returncode == 0, ended.stderr + log
    found: dict = {}
    for line in log.splitlines():
        if line.startswith("FACT "):
            found |= json.loads(line[5:])
    return found


def test_a_click_on_edit_queues_the_job_and_the_window_goes_on(facts):
    assert facts["queued"]
    assert facts["state"] == "running"
    assert 0 < facts["factor"] < 0.95


def test_the_result_comes_in_by_itself(facts):
    assert facts["results"] == 1


def test_the_window_is_never_frozen_while_a_job_runs(facts):
    # Software rendering on a busy machine redraws slowly; a blocking call would be seconds.
    assert facts["gap"] < 1.0
    assert facts["poll"] < 0.05


def test_ctrl_z_takes_back_the_inserted_strip_alone(facts):
    assert facts["after_undo"] == ["ball"]


def test_there_are_pictures_of_the_window(facts):
    for name in ("before.png", "running.png", "done.png", "undone.png"):
        assert (FOLDER / name).stat().st_size > 10_000
