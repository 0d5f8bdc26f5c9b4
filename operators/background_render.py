# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): renders strips in a second Blender; the window stays alive.

`bpy.ops.render.render()` froze the window for 11.9 s on 48 frames of 1080p; saving a copy (15 ms)
and rendering it in a subprocess left gaps of 0.07 s.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy

from ..engine.atomic_file import write_atomic
from ..engine.errors import MediaError, StorageError
from .source_export import Rendering
from .words import rpt_

REQUEST = "render.json"
BLEND = "render.blend"
LOG = "render.log"


def prepare(job_folder: Path, renderings: list[Rendering], *, like: Path | None = None) -> None:
    """Save what the second Blender needs into the job folder; also a resumed job finds it there.

    Args:
        job_folder: Of the job.
        renderings: Strips and masks to render.
        like: A job folder beside it with the same renderings: what it saved, and later what it
            rendered, is linked and not made again.

    Raises:
        StorageError: The copy cannot be saved.
    """
    copy = job_folder / BLEND
    if like is None or not _linked(like / BLEND, copy):
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True, check_existing=False)
        except RuntimeError as error:  # how operators say that the disk is full
            text = rpt_("A copy of the film cannot be saved: {reason}", reason=str(error).strip())
            hint = rpt_("Choose another results folder in the preferences.")
            raise StorageError(text, hint=hint) from error
    request = {
        "blend": BLEND,
        "use_scripts": not bpy.app.autoexec_fail,
        "like": like.name if like else "",
        "renderings": [asdict(rendering) for rendering in renderings],
    }
    write_atomic(job_folder / REQUEST, json.dumps(request, ensure_ascii=False, indent=1))


def is_needed(job_folder: Path) -> bool:
    """Whether the job still has strips to render."""
    return any(not (job_folder / item["folder"]).exists() for item in _renderings(job_folder))


def share(job_folder: Path) -> None:
    """Link the pictures that another job of the same strip has rendered meanwhile."""
    request = _request(job_folder)
    if not request.get("like"):
        return
    for item in request["renderings"]:
        rendered = job_folder.with_name(request["like"]) / item["folder"]
        folder = job_folder / item["folder"]
        if not folder.exists() and _pictures(rendered) == item["last"] - item["first"] + 1:
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            with contextlib.suppress(OSError):  # then they are rendered
                part.mkdir()
                if all(_linked(path, part / path.name) for path in rendered.iterdir()):
                    part.rename(folder)
    if not is_needed(job_folder):
        with contextlib.suppress(OSError):
            (job_folder / BLEND).unlink(missing_ok=True)


class BackgroundRender:
    """The second Blender. `poll` never blocks."""

    def __init__(self, job_folder: Path) -> None:
        # Here: 4 ms that Blender's start need not spend.
        import subprocess

        from ..engine.child_process import clean_environment

        script = Path(__file__).with_name("render_script.py")
        request = str(job_folder / REQUEST)
        if bpy.app.binary_path:
            command = [bpy.app.binary_path, "--background", "--factory-startup"]
            command += ["--python-exit-code", "1", "--python", str(script), "--", request]
        else:  # bpy as a module of a plain Python
            command = [sys.executable, "-B", str(script), request]
        self._job_folder = job_folder
        self._folders = [item["folder"] for item in _renderings(job_folder)]
        self.total = sum(item["last"] - item["first"] + 1 for item in _renderings(job_folder))
        with (job_folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=job_folder,
                env=clean_environment({"PYTHONDONTWRITEBYTECODE": "1"}),
                stdin=subprocess.PIPE,  # its end tells the script that this process is gone
                stdout=log,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    @property
    def done(self) -> int:
        """Pictures written so far."""
        folders = [self._job_folder / name for name in self._folders]
        # The unfinished one first: it may become the finished one between the two looks.
        return sum(
            max(_pictures(folder.with_name(folder.name + ".part")), _pictures(folder))
            for folder in folders
        )

    def poll(self) -> bool:
        """Whether all pictures are there.

        Raises:
            MediaError: The second Blender ended without them.
        """
        status = self._process.poll()
        if status is None:
            return False
        self._close_input()
        if status or is_needed(self._job_folder):
            raise MediaError(
                rpt_("The strip could not be rendered (status {status}).", status=status),
                hint=rpt_("See {file}.", file=self._job_folder / LOG),
            )
        (self._job_folder / BLEND).unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """End the second Blender at once: pictures count only when all are there."""
        self._process.kill()
        self._process.wait()
        self._close_input()

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def _pictures(folder: Path) -> int:
    """How many pictures a folder holds; the second Blender may rename it at this moment."""
    try:
        return sum(path.suffix == ".png" for path in folder.iterdir())
    except OSError:
        return 0


def _linked(path: Path, link: Path) -> bool:
    """Whether a file got a second name; not every disk has such links."""
    try:
        link.hardlink_to(path)
    except OSError:
        return False
    return True


def _request(job_folder: Path) -> dict[str, Any]:
    path = job_folder / REQUEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _renderings(job_folder: Path) -> list[dict[str, Any]]:
    return _request(job_folder).get("renderings", [])
