# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a script in a real Blender window, in the chroot that `tools/gui/make_chroot.sh` makes."""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHROOT = ROOT / "build" / "gui-chroot"
_PACKED = ("__init__.py", "blender_manifest.toml", "preferences.py", "LICENSE")
_PACKED_FOLDERS = ("engine", "operators", "panels", "vendor")


def why_not() -> str:
    if os.name != "posix" or os.geteuid() != 0:
        return "a chroot needs root"
    if not (CHROOT / ".complete").exists():
        return f"{CHROOT} is not there: run tools/gui/make_chroot.sh"
    return "" if shutil.which("unshare") else "unshare is not installed"


def make_zip(path: Path) -> None:
    """What Blender's builder packs; that it is exactly this is tested in tests/blender."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        files = [ROOT / name for name in _PACKED]
        files += [path for name in _PACKED_FOLDERS for path in sorted((ROOT / name).rglob("*"))]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(ROOT))


def run_blender(script: str, folder: Path, *, seconds: int) -> dict:
    """The facts that the script printed.

    Args:
        script: In this folder.
        folder: Below build/, for its pictures.
        seconds: Most that it may take, on a busy machine.
    """
    inside = {
        "DELTA_STRIP_GUI": f"/project/{folder.relative_to(ROOT)}",
        "DELTA_STRIP_PYTHON": "/usr/bin/python3",
        "GUI_TIMEOUT": str(seconds),
        "BIND": str(ROOT),
    }
    kept = ["DELTA_STRIP_GUI", "GUI_TIMEOUT"]
    if script != "preferences_script.py":  # that one installs an engine
        kept.append("DELTA_STRIP_PYTHON")
    command = ["tools/gui/in_chroot.sh", str(CHROOT), "tools/gui/gui_run.sh"]
    command += [f"tests/gui/{script}", f"{folder.relative_to(ROOT)}/start.png", "5"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **inside, "KEEP": " ".join(kept)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    log = (folder / "start.log").read_text(encoding="utf-8", errors="replace")
    assert ended.returncode == 0, ended.stderr + log
    found: dict = {}
    for line in log.splitlines():
        if line.startswith("FACT "):
            found |= json.loads(line[5:])
    return found
