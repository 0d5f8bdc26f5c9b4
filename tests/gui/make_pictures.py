# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the README's pictures of the window; a few minutes on two cores.

    .venv/bin/python -m tests.gui.make_pictures

The clip is edited by the real engine first. In the window a stand-in shows that edit, because the
chroot has no torch. Look at the pictures before you commit them.
"""

import shutil

from PIL import Image

from engine.editing.prepare import make_job
from engine.editing.run import run_job
from engine.job_store import create
from engine.reporter import Reporter
from engine.request import EditRequest
from tests.gui import film
from tests.gui.window import ROOT, make_zip, run_blender, why_not

FOLDER = ROOT / "build" / "gui-pictures"
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
        self.count = 0

    def preview(self, path) -> None:
        shutil.copyfile(path, self.folder / f"{self.count:03}.png")
        self.count += 1


def edit(clip, recording) -> None:
    """Edit the clip with the demo backbone."""
    request = EditRequest(
        clip=clip,
        source_prompt=film.PROMPTS[0],
        target_prompt=film.PROMPTS[1],
        threads=0,
    )
    folder = create(recording.parent / "edits", make_job(request), name="ball")
    previews = folder / "previews"
    previews.mkdir()
    run_job(folder, PreviewKeeper(previews))
    folder.rename(recording)


def main() -> None:
    """Edit, run the window, and take what the README shows."""
    if reason := why_not():
        raise SystemExit(reason)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    make_zip(FOLDER / "delta_strip.zip")
    film.write_clip(FOLDER / "clip")
    edit(FOLDER / "clip", FOLDER / "recording")
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
