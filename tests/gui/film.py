# SPDX-License-Identifier: GPL-3.0-or-later
"""The clip that is edited in the window: a red ball over sky, from the procedural world.

Imports numpy and imageio. In the window a stand-in engine shows an edit that was made before.
"""

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from demo.movie import write_images
from demo.sampling import sample_spec
from demo.spec import ClipSpec, counterfactual
from demo.world import render_frames

SPEC = sample_spec(7, frames=48, width=640, height=360, shape="ball", color="red", background="sky")
PROMPTS = ("a red ball moving over sky", "a yellow ball moving over sky")
_PREVIEWS = 6


def write_clip(folder: Path) -> None:
    """The pictures of the strip."""
    write_images(folder, _images(SPEC))


def write_mask(folder: Path) -> None:
    """White where the ball is and a little around it, a picture a frame."""
    alphas = (frame.alpha for frame in render_frames(SPEC))
    write_images(folder, (np.repeat(_grown(alpha)[:, :, None], 3, axis=2) for alpha in alphas))


def _grown(alpha) -> np.ndarray:
    grown = np.zeros_like(alpha)
    for y in range(-6, 7, 3):
        for x in range(-6, 7, 3):
            grown = np.maximum(grown, np.roll(alpha, (y, x), axis=(0, 1)))
    return (grown * 255).round().astype(np.uint8)


def write_recording(folder: Path) -> None:
    """What the exact answer would have been, as if it had been edited, with pictures of the way."""
    frames = folder / "frames"
    write_images(frames, _images(counterfactual(SPEC, color="yellow")))
    middle = SPEC.frames // 2
    before, after = list(_images(SPEC))[middle], iio.imread(sorted(frames.iterdir())[middle])
    previews = folder / "previews"
    previews.mkdir()
    for number in range(_PREVIEWS):
        share = (number + 1) / _PREVIEWS
        so_far = before * (1 - share) + after * share
        both = np.concatenate([before, so_far.astype(np.uint8)])[::2, ::2]
        iio.imwrite(previews / f"{number:03}.png", both)


def _images(spec: ClipSpec):
    return (frame.image for frame in render_frames(spec))
