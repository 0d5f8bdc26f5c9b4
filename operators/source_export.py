# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through strips.py, never torch): a strip and its mask strip as `Media`.

Movie and image strips are read by the engine itself through a frame map. What has modifiers, is
retimed or is made by Blender is rendered into the job folder first (background_render.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..engine.errors import InvalidJobError, MaskError
from ..engine.media import Media
from . import curves, strips
from .media_space import fills_scene, fits, has_limited_modifier, has_media_space
from .source_files import absolute, check_files, frame_map, lost_brightness, unreadable
from .words import n_, rpt_

SOURCE_FOLDER = "source"
MASK_FOLDER = "mask"
_NO_PICTURE = {
    "SOUND": n_("a sound strip has no picture to edit"),
    "ADJUSTMENT": n_("an adjustment layer has no picture of its own"),
    "MULTICAM": n_("a multicam selector has no picture of its own"),
}
_PLACED = n_(
    "“{mask}” is placed differently from “{strip}”: both are edited as the scene shows them, at "
    "{size} px."
)

_LIMITED = n_(
    "A mask limits a modifier of “{strip}”: it is edited as the scene shows it, at {size} px."
)


@dataclass(frozen=True)
class Rendering:
    """A strip that must be rendered into a folder of the job, frames first to last.

    Attributes:
        uuid: Of the strip; empty for a mask.
        mask: Name of a mask to render instead of a strip.
        scene: Name of the mask's scene.
    """

    uuid: str
    folder: str
    first: int
    last: int
    size: tuple[int, int]
    is_media_space: bool
    has_alpha: bool
    mask: str = ""
    scene: str = ""


@dataclass(frozen=True)
class Clip:
    """Pictures of one strip: where the engine finds them, and what must be rendered before."""

    media: Media
    size: tuple[int, int]
    rendering: Rendering | None = None


@dataclass(frozen=True)
class Export:
    """Everything a job needs from the timeline; `first` is the clip's first frame there."""

    source: Clip
    mask: Clip | None
    is_media_space: bool
    first: int
    warnings: tuple[str, ...] = ()

    @property
    def renderings(self) -> list[Rendering]:
        """What must be rendered before the engine can run."""
        clips = (self.source, self.mask)
        return [clip.rendering for clip in clips if clip is not None and clip.rendering]


def plan_export(
    place: strips.Place,
    mask: strips.Place | str | None = None,
    *,
    mask_channel: Literal["luma", "alpha"] = "luma",
    frames: range | None = None,
) -> Export:
    """How a strip and its mask strip become media. Renders nothing.

    Args:
        place: The strip.
        mask: The mask strip (the strip itself for its own alpha), or the name of a mask.
        mask_channel: What of its pictures is the mask.
        frames: Frames of the scene within the strip; all it shows when not given.

    Raises:
        InvalidJobError: The strip cannot be edited.
        EngineError: A file is missing.
        MaskError: The mask strip cannot be used.
    """
    check_strip(place)
    if isinstance(mask, strips.Place):
        check_mask(place, mask, mask_channel)
    shown = frames or range(strips.left(place.strip), strips.right(place.strip))
    mask_fits = mask is None or (isinstance(mask, strips.Place) and fits(place, mask))
    has_media, is_limited = has_media_space(place.strip), has_limited_modifier(place.strip)
    is_media_space = has_media and ((mask_fits and not is_limited) or fills_scene(place))
    source = make_clip(
        place,
        shown,
        SOURCE_FOLDER,
        is_media_space=is_media_space,
        has_alpha=True,  # what the strip leaves open must not cover the strips below its result
    )
    warnings = lost_brightness(place.strip)
    name = mask.strip.name if isinstance(mask, strips.Place) else mask
    if has_media and not is_media_space:
        size = "{}×{}".format(*strips.scene_size(place.scene))
        text = _LIMITED if mask_fits else _PLACED
        warnings.append(rpt_(text, mask=name, strip=place.strip.name, size=size))
    if mask is None:
        return Export(source, None, is_media_space, shown.start, tuple(warnings))
    if isinstance(mask, str):
        clip = make_mask_clip(mask, place.scene, shown)
    else:
        if gap := coverage_gap(mask, shown):
            warnings.append(gap)
        clip = make_clip(
            mask,
            held_frames(mask, shown),
            MASK_FOLDER,
            is_media_space=is_media_space and fits(place, mask),
            has_alpha=mask_channel == "alpha",
        )
    return Export(source, clip, is_media_space, shown.start, tuple(warnings))


def coverage_gap(mask: strips.Place, frames: range) -> str:
    """What to say about a mask strip that does not cover these frames; empty when it does."""
    span = range(strips.left(mask.strip), strips.right(mask.strip))
    covered = range(max(span.start, frames.start), min(span.stop, frames.stop))
    if covered == frames:
        return ""
    name, wanted = mask.strip.name, f"{frames[0]}–{frames[-1]}"
    if not covered:
        return rpt_(
            "“{mask}” covers none of the frames {wanted}: its first or last frame is held.",
            mask=name,
            wanted=wanted,
        )
    return rpt_(
        "“{mask}” covers frames {covered} of {wanted}: its first or last frame is held.",
        mask=name,
        covered=f"{covered[0]}–{covered[-1]}",
        wanted=wanted,
    )


def held_frames(mask: strips.Place, frames: range) -> list[int]:
    """The mask strip's frame for each of these; outside of it its first or last one is held."""
    first, last = strips.left(mask.strip), strips.right(mask.strip) - 1
    return [min(max(frame, first), last) for frame in frames]


def check_strip(place: strips.Place, *, is_quick: bool = False) -> None:
    """Refuse a strip that cannot be edited, with a sentence.

    Args:
        place: The strip.
        is_quick: Look only at the first and last file, for drawing.
    """
    strip = place.strip
    if strip.type in _NO_PICTURE:
        raise InvalidJobError(
            rpt_(
                "“{strip}” cannot be edited: {reason}.",
                strip=strip.name,
                reason=rpt_(_NO_PICTURE[strip.type]),
            ),
            hint=rpt_("Select a movie, image, scene, meta or effect strip."),
        )
    if place.is_locked:
        raise InvalidJobError(
            rpt_(
                "“{strip}” or its channel {channel} is locked.",
                strip=strip.name,
                channel=strip.channel,
            ),
            hint=rpt_("Unlock it, or select another strip."),
        )
    if strips.right(strip) <= strips.left(strip):
        raise InvalidJobError(
            rpt_("“{strip}” shows 0 frames.", strip=strip.name),
            hint=rpt_("Make it at least one frame long."),
        )
    check_files(strip, is_quick=is_quick)


def check_mask(place: strips.Place, mask: strips.Place, channel: Literal["luma", "alpha"]) -> None:
    """Refuse a mask strip that cannot be a mask for this strip."""
    if mask.strip == place.strip and channel != "alpha":
        raise MaskError(
            rpt_("“{strip}” is both the clip and its mask.", strip=mask.strip.name),
            hint=rpt_("Choose another mask strip, or leave the field empty."),
        )
    if mask.strip.type in _NO_PICTURE:
        raise MaskError(
            rpt_(
                "“{strip}” cannot be a mask: {reason}.",
                strip=mask.strip.name,
                reason=rpt_(_NO_PICTURE[mask.strip.type]),
            ),
            hint=rpt_("Choose a strip with a picture, or leave the field empty."),
        )
    check_files(mask.strip)


def needs_rendering(strip: Any) -> str:
    """Why a strip cannot be read from its files alone; empty when it can."""
    if not has_media_space(strip):
        return "it is made by Blender"
    if any(curves.may_act(strip, modifier) for modifier in strip.modifiers):
        return "it has modifiers"
    if strips.is_retimed(strip) or curves.is_animated(strip, ("strobe", "use_reverse_frames")):
        return "it is retimed"
    if strip.use_deinterlace or strip.use_multiview:
        return "it is deinterlaced or stereoscopic"
    if strip.type == "MOVIE" and strip.stream_index:
        return "it shows another stream"
    return unreadable(strip)


def make_clip(
    place: strips.Place,
    frames: range | list[int],
    folder: str,
    *,
    is_media_space: bool,
    has_alpha: bool,
) -> Clip:
    """The pictures a strip shows at these frames of the scene."""
    strip = place.strip
    size = strips.media_size(strip) if is_media_space else strips.scene_size(place.scene)
    if is_media_space and not needs_rendering(strip):
        return Clip(direct_media(strip, frames), size)
    first, last = min(frames), max(frames)
    files = tuple(f"{number:06d}.png" for number in range(1, last - first + 2))
    frame_numbers = tuple(frame - first for frame in frames)
    media = Media(path=folder, kind="images", frames=frame_numbers, files=files)
    key = strips.mark(strip)
    rendering = Rendering(key, folder, first, last, size, is_media_space, has_alpha)
    return Clip(media, size, rendering)


def make_mask_clip(name: str, scene: Any, frames: range) -> Clip:
    """A mask as the scene shows it at these frames; always rendered."""
    size = strips.scene_size(scene)
    files = tuple(f"{number:06d}.png" for number in range(1, len(frames) + 1))
    media = Media(path=MASK_FOLDER, kind="images", frames=tuple(range(len(frames))), files=files)
    first, last = frames[0], frames[-1]
    rendering = Rendering(
        "", MASK_FOLDER, first, last, size, False, False, mask=name, scene=scene.name
    )
    return Clip(media, size, rendering)


def direct_media(strip: Any, frames: range | list[int]) -> Media:
    """The frame map of a movie or image strip."""
    numbers = tuple(frame_map(strip, frames))
    if strip.type == "MOVIE":
        return Media(path=absolute(strip.filepath), kind="movie", frames=numbers)
    files = tuple(element.filename for element in strip.elements)
    numbers = tuple(min(number, len(files) - 1) for number in numbers)
    return Media(path=absolute(strip.directory), kind="images", frames=numbers, files=files)
