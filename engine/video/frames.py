# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (never bpy, guidance or editing): the frames of a clip in the order of its frame map.

Memory stays at one frame: a map that only rises is served while the movie is decoded; any other map
(reversed, looping) first puts the frames it needs into a temporary file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import MediaError, StorageError
from ..job_store import resolve
from ..media import Media
from .clip import ClipInfo, Picture, check_same_size
from .images import probe_images, read_image
from .movies import decode_movie, probe_movie

__all__ = ["ClipInfo", "Picture", "media_path", "probe_images", "probe_movie", "read_frames"]


def media_path(media: Media, job_dir: Path) -> Path:
    """Where the media lies; a relative path counts from the job folder.

    Raises:
        InvalidJobError: it leaves the job folder, or is a path of another platform.
    """
    return resolve(job_dir, media.path)


def read_frames(media: Media, job_dir: Path) -> Iterator[Picture]:
    """The frames of a clip, one for each entry of `media.frames`, in that order.

    Args:
        media: The movie or image sequence and its frame map.
        job_dir: Folder that relative paths count from; also takes the temporary file that an
            unordered map of a movie needs (it has no name and vanishes with the iterator).

    Yields:
        uint8 (height, width, 3), or 4 channels for media with alpha; each a new array.

    Raises:
        MediaError: missing, damaged or too short media, or frames of different sizes.
        StorageError: the temporary file does not fit on the disk.
    """
    path = media_path(media, job_dir)
    if media.kind == "images":
        return _read_images(path, media)
    if all(a <= b for a, b in pairwise(media.frames)):
        return _read_rising(path, media.frames)
    return _read_spooled(path, media.frames, job_dir)


def _read_images(folder: Path, media: Media) -> Iterator[Picture]:
    first = None
    for index in media.frames:
        file = folder / media.files[index]
        picture = read_image(file)
        first = picture if first is None else first
        check_same_size(picture, first, str(file))
        yield picture


def _read_rising(path: Path, frames: Sequence[int]) -> Iterator[Picture]:
    wanted = iter(frames)
    index = next(wanted)
    count = 0
    for count, picture in enumerate(decode_movie(path), start=1):
        while index == count - 1:
            yield picture.copy()
            following = next(wanted, None)
            if following is None:
                return
            index = following
    raise MediaError(
        f"{path} holds {count} frames, the clip needs {max(frames) + 1} of them.",
        hint="Choose a shorter range, or check that the movie was copied completely.",
    )


def _read_spooled(path: Path, frames: Sequence[int], job_dir: Path) -> Iterator[Picture]:
    needed = sorted(set(frames))
    place = {index: slot for slot, index in enumerate(needed)}
    folder = job_dir if job_dir.is_dir() else None
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="frames-") as spool:
            shape: tuple[int, ...] = ()
            for picture in _read_rising(path, needed):
                shape = picture.shape
                spool.write(picture.tobytes())
            size = int(np.prod(shape))
            for index in frames:
                spool.seek(place[index] * size)
                yield np.frombuffer(spool.read(size), np.uint8).reshape(shape).copy()
    except OSError as error:
        raise StorageError(
            f"The frames of {path} cannot be put into temporary order ({error.strerror}).",
            hint="Free some space on the disk of the output folder, and check that it is writable.",
        ) from None
