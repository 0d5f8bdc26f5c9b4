# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): read the pictures of an image sequence.

Sixteen bits become eight by keeping the high byte (v >> 8), so a value that was stored as v·257
comes back unchanged. Orientation tags of cameras are not applied: Blender ignores them as well.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import MediaError
from .clip import ClipInfo, Picture

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".tga")
# Named formats only: others would start helper programs (EPS) or are not pictures at all.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "TGA")
IMAGES_FPS = Fraction(24)
"""Frame rate of an image sequence, which carries none itself: Blender's own default."""


def probe_images(source: Path | Sequence[Path]) -> tuple[ClipInfo, tuple[str, ...]]:
    """Size, length and file names of an image sequence.

    Args:
        source: A folder, whose pictures are taken in natural order (2 before 10), or the pictures
            themselves in their order, all of one folder.

    Returns:
        The clip (size and alpha of its first picture, `IMAGES_FPS`) and the names of the files.

    Raises:
        MediaError: no folder, no picture in it, or the first picture cannot be read.
    """
    files = _listed(source) if isinstance(source, Path) else list(source)
    if not files:
        raise MediaError("The image sequence names no files.", hint="Choose at least one picture.")
    if len({path.parent for path in files}) > 1:
        raise MediaError(
            f"{files[0]} and other pictures of the sequence lie in different folders.",
            hint="Put all pictures of a sequence into one folder.",
        )
    height, width, channels = read_image(files[0]).shape
    info = ClipInfo(
        width=width,
        height=height,
        fps=IMAGES_FPS,
        frame_count=len(files),
        has_alpha=channels == 4,
    )
    return info, tuple(path.name for path in files)


def read_image(path: Path) -> Picture:
    """One picture as 8-bit RGB or RGBA.

    Returns:
        uint8 (height, width, 3), or 4 channels when the file stores transparency.

    Raises:
        MediaError: missing, damaged, or of a kind that has no 8-bit reading.
    """
    try:
        with warnings.catch_warnings():
            # Large pictures are expected here; the hard limit of Pillow still holds.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                return _eight_bit(image, path)
    except FileNotFoundError:
        raise MediaError(
            f"{path} does not exist.", hint="Reconnect the drive, or choose the files again."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(
            f"{path} cannot be read as a picture ({error}).",
            hint="Save it again as PNG, JPEG, TIFF, BMP, WebP or TGA.",
        ) from None


def _eight_bit(image: Image.Image, path: Path) -> Picture:
    mode = image.mode
    if mode == "F":
        raise MediaError(
            f"{path} holds floating-point values.", hint="Save it with 8 or 16 bits per channel."
        )
    if mode == "I" or mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64)
        grey = (np.clip(wide, 0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    has_alpha = "transparency" in image.info or mode in ("LA", "PA", "La", "RGBA", "RGBa")
    return np.array(image.convert("RGBA" if has_alpha else "RGB"), dtype=np.uint8)


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts `frame2` before `frame10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def _listed(folder: Path) -> list[Path]:
    try:
        names = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise MediaError(
            f"{folder} cannot be listed ({error.strerror}).", hint="Choose an existing folder."
        ) from None
    # Hidden files: macOS leaves "._name.png" beside every picture on foreign drives.
    files = [path for path in names if not path.name.startswith(".") and path.is_file()]
    if not files:
        raise MediaError(
            f"{folder} holds no pictures ({', '.join(IMAGE_SUFFIXES)}).",
            hint="Choose the folder of an image sequence, or a movie file.",
        )
    return sorted(files, key=lambda path: (natural_key(path.name), path.name))
