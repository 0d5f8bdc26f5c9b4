# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person asks for to a complete job (torch, never bpy)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..errors import InvalidJobError, MediaError
from ..job import EditJob, EditSettings, with_settings
from ..media import Mask, Media
from ..presets import at_preset
from ..registry import BackboneCard, find_backbone, installed_backbones
from ..request import EditRequest, default_threads
from ..video.clip import ClipInfo
from ..video.geometry import working_size
from ..video.images import IMAGE_SUFFIXES, probe_images
from ..video.masks import mask_coverage
from ..video.movies import probe_movie

_BOX = re.compile(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*")


def make_job(request: EditRequest) -> EditJob:
    """Look at the clip, the mask and the backbone, and fill in everything the request leaves open.

    The clip and the mask are decoded once, because headers miscount frames; all paths become
    absolute. 0 threads means `default_threads`.

    Raises:
        InvalidJobError: an argument cannot be honoured.
        MediaError: the clip or the mask's media cannot be used, or is shorter than the range.
        MaskError: the mask covers nothing or does not fit the clip.
        BackboneError: there is no such backbone.
    """
    card = find_backbone(request.backbone)
    recommended = at_preset(card.recommended(request.method), request.preset)
    clip = Path(request.clip).expanduser().absolute()
    # Made before the clip is decoded, so that an empty prompt is reported at once.
    draft = EditJob(
        source=Media(path=str(clip), kind="movie", frames=(0,)),
        fps=(1, 1),
        source_prompt=request.source_prompt,
        target_prompt=request.target_prompt,
        method=request.method,
        settings=_settings(recommended, request.settings),
        backbone=_backbone_name(request.backbone, card),
        size=request.size,
        seed=request.seed,
        device=request.device,
        precision=request.precision,
        threads=request.threads or default_threads(),
        lossless_movie=request.lossless,
    )
    media, info = _probe(clip)
    first, last = _range(request.frames, clip, info)
    source = replace(media, frames=tuple(range(first - 1, last)))
    working_size(
        info.width,
        info.height,
        pixels=card.working_pixels,
        multiple=card.size_multiple,
        override=request.size,
    )
    mask = _mask(request, info, first, last) if request.mask else None
    fps = (info.fps.numerator, info.fps.denominator)
    return replace(draft, source=source, fps=fps, mask=mask)


def _settings(recommended: EditSettings, changes: Mapping[str, Any]) -> EditSettings:
    known = [field.name for field in fields(EditSettings)]
    for name in changes:
        if name not in known:
            raise InvalidJobError(
                f"There is no setting {name!r}.", hint=f"The settings are {', '.join(known)}."
            )
    return with_settings(recommended, **changes)


def _backbone_name(name: str, card: BackboneCard) -> str:
    is_installed = any(installed.id == name for installed in installed_backbones())
    return name if is_installed else str(card.folder)


def _probe(path: Path) -> tuple[Media, ClipInfo]:
    """The whole of a movie, a folder of pictures or a single picture."""
    if not path.exists():
        raise MediaError(
            f"{path} does not exist.", hint="Check the spelling, or reconnect the drive."
        )
    if path.is_dir():
        info, files = probe_images(path)
        folder = path
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        info, files = probe_images([path])
        folder = path.parent
    else:
        info = probe_movie(path)
        return Media(path=str(path), kind="movie", frames=tuple(range(info.frame_count))), info
    frames = tuple(range(info.frame_count))
    return Media(path=str(folder), kind="images", frames=frames, files=files), info


def _range(frames: tuple[int, int] | None, clip: Path, info: ClipInfo) -> tuple[int, int]:
    if frames is None:
        return 1, info.frame_count
    first, last = frames
    if first < 1 or last < first:
        raise InvalidJobError(
            f"The frame range {first}-{last} holds no frame.",
            hint="Frames count from 1, and the last one is included: 1-24 is 24 frames.",
        )
    if last > info.frame_count:
        raise MediaError(
            f"The frame range {first}-{last} is asked for, {clip} has {info.frame_count} frames.",
            hint=f"Choose a range within 1-{info.frame_count}.",
        )
    return first, last


def _mask(request: EditRequest, info: ClipInfo, first: int, last: int) -> Mask:
    box = _BOX.fullmatch(request.mask)
    path = Path(request.mask).expanduser().absolute()
    if box is not None and not path.exists():
        x, y, width, height = (int(number) for number in box.groups())
        media, area = None, (x, y, width, height)
    else:
        media, area = _mask_media(path, info.frame_count, first, last), None
    mask = Mask(
        media=media,
        box=area,
        channel=request.mask_channel,
        invert=request.invert_mask,
        feather_px=request.feather_px,
    )
    # Only for its errors, before minutes of work; the run reads the mask again and warns then.
    mask_coverage(
        mask,
        path.parent,
        frame_count=last - first + 1,
        width=info.width,
        height=info.height,
        warn=lambda _message, _hint: None,
    )
    return mask


def _mask_media(path: Path, clip_frames: int, first: int, last: int) -> Media:
    """The mask's frames for the range: one picture is held, a mask as long as it is taken whole.

    Any other mask counts like the clip, its frame 10 belongs to the clip's frame 10; where it is
    too short, its last frame is held (and the run warns).
    """
    media, info = _probe(path)
    wanted = last - first + 1
    if info.frame_count == 1:
        return replace(media, frames=(0,) * wanted)
    if info.frame_count == wanted != clip_frames:
        return media
    stop = min(last, info.frame_count)
    return replace(media, frames=tuple(range(min(first, stop) - 1, stop)))
