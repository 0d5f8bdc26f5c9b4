# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the README's pictures of the window; a few minutes on two cores.

    .venv/bin/python -m tests.gui.make_pictures

The clip is edited by the real engine first; an edit that was interrupted goes on. In the window a
stand-in shows that edit, because the chroot has no torch. Look at the pictures before you commit
them. After a change of the model or of its settings, remove build/gui-edit first.
"""

import shutil
from pathlib import Path

from PIL import Image

from engine.editing.prepare import make_job
from engine.editing.run import run_job
from engine.job_store import RESULT, create
from engine.reporter import Reporter
from engine.request import EditRequest
from tests.gui import film
from tests.gui.window import ROOT, make_zip, run_blender, why_not

FOLDER = ROOT / "build" / "gui-pictures"
EDIT = ROOT / "build" / "gui-edit"
IMAGES = ROOT / "docs" / "images"
SIDEBAR = (1226, 298, 1600, 845)
LOWER = (0, 270, 1600, 900)
# Name in docs/images: picture of the window, what of it, share of its size.
PICTURES = {
    "panel": ("before", None, 0.8),
    "advanced": ("advanced", SIDEBAR, 1.0),
    "queue": ("queue", None, 0.8),
    "results": ("results", LOWER, 0.8),
}


class PreviewKeeper(Reporter):
    """Keeps every picture of the way."""

    wants_previews = True

    def __init__(self, folder) -> None:
        self.folder = folder

    def preview(self, path) -> None:
        count = len(list(self.folder.iterdir()))
        shutil.copyfile(path, self.folder / f"{count:03}.png")


def edit() -> Path:
    """Edit the clip with the demo backbone; returns the job folder."""
    if not EDIT.exists():
        film.write_clip(EDIT / "clip")
        source, target = film.PROMPTS
        request = EditRequest(
            clip=EDIT / "clip", source_prompt=source, target_prompt=target, threads=0
        )
        create(EDIT / "jobs", make_job(request), name="ball")
    (folder,) = (EDIT / "jobs").iterdir()
    previews = folder / "previews"
    previews.mkdir(exist_ok=True)
    if not (folder / RESULT).exists():
        run_job(folder, PreviewKeeper(previews))
    return folder


def main() -> None:
    """Edit, run the window, and take what the README shows."""
    if reason := why_not():
        raise SystemExit(reason)
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(edit(), FOLDER / "recording")
    shutil.copytree(EDIT / "clip", FOLDER / "clip")
    make_zip(FOLDER / "delta_strip.zip")
    run_blender("window_script.py", FOLDER, seconds=400)
    for name, (picture, part, scale) in PICTURES.items():
        with Image.open(FOLDER / f"{picture}.png") as whole:
            image = whole.convert("RGB").crop(part or (0, 0, *whole.size))
        size = (round(image.width * scale), round(image.height * scale))
        if scale != 1:
            image = image.resize(size, Image.Resampling.LANCZOS)
        image.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
