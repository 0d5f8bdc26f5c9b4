# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): puts the frames of a finished job into the timeline.

The strip is made with the data API: the operators that add strips crash Blender 5 without a window.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy

from ..engine import job_store
from ..engine.atomic_file import write_atomic
from ..engine.errors import MediaError
from ..engine.job import EditJob
from ..engine.reachable import has_file
from . import curves, strips
from .words import rpt_

FRAMES_FOLDER = "frames"
JOB_KEY = "delta_strip_job"
_NAME_BYTES = 63
_PLACED = ("use_flip_x", "use_flip_y")
_MEDIA = ("alpha_mode", "multiply_alpha")


@dataclass(frozen=True)
class Placement:
    """Where a job's result belongs, kept in its folder: all that Blender needs later.

    Attributes:
        strip: UUID of the source strip.
        strip_name: Its name; finds it again when an undo took the UUID away.
        scene: Name of its scene.
        blend: Path of the .blend, empty when it was not saved.
        left: First frame of the clip in the scene.
        content_start: Where the source's content began then; tells how far it was moved since.
        is_media_space: Whether the result takes over transform, crop and flip.
        is_rendered: Whether colour changes of the strip are already in the frames.
        mask: UUID of the mask strip or name of the mask, empty without one.
        mask_kind: What the mask is, as `scene.delta_strip.mask_kind` says it.
        blender_version: The Blender that made the job; empty when it was not written down.
    """

    strip: str
    strip_name: str
    scene: str
    blend: str
    left: int
    content_start: int
    is_media_space: bool
    is_rendered: bool
    mask: str = ""
    mask_kind: str = "strip"
    blender_version: str = ""


def save_placement(job_folder: Path, placement: Placement) -> None:
    """Write the placement into the job folder.

    Raises:
        StorageError: It cannot be written.
    """
    text = json.dumps(asdict(placement), ensure_ascii=False, indent=1)
    write_atomic(job_folder / job_store.PLACEMENT, text)


def load_placement(job_folder: Path) -> Placement | None:
    """The placement of a job; None when it was not made by Blender."""
    try:
        text = (job_folder / job_store.PLACEMENT).read_text(encoding="utf-8")
        return Placement(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None


def find_source(placement: Placement) -> strips.Place | None:
    """The source strip in the open file; None when it, its scene or its file is not there."""
    strips.settle(bpy.data.scenes)
    return look_up_source(placement)


def look_up_source(placement: Placement) -> strips.Place | None:
    """`find_source` for drawing, when nothing may be written.

    The job's own scene comes first: a copy of the scene may hold the strip's UUID as well.
    """
    scenes = sorted(bpy.data.scenes, key=lambda scene: scene.name != placement.scene)
    place = strips.find(scenes, placement.strip)
    scene = bpy.data.scenes.get(placement.scene)
    if place is None and scene is not None and placement.blend == bpy.data.filepath:
        place = strips.find_named(scene, placement.strip_name)
    return place


def find_frames(job_folder: Path, job: EditJob) -> list[str]:
    """Paths of the edited frames, in order. Other files, such as half-written ones, don't matter.

    Raises:
        MediaError: One is missing.
    """
    folder = job_folder / FRAMES_FOLDER
    paths = [folder / f"{number:06d}.png" for number in range(1, job.frame_count + 1)]
    missing = [path for path in paths if not has_file(path)]
    if missing:
        raise MediaError(
            rpt_(
                "{missing} of {count} edited frames are missing, the first is {file}.",
                missing=len(missing),
                count=job.frame_count,
                file=missing[0],
            ),
            hint=rpt_("Resume the job."),
        )
    return [str(path) for path in paths]


def import_result(
    job_folder: Path, job: EditJob, placement: Placement, *, is_source_muted: bool = False
) -> str | None:
    """Insert the result above its source as one undo step.

    Args:
        job_folder: Where the frames are.
        job: The edit.
        placement: Where its result belongs.
        is_source_muted: Also mute the source, so that the result alone is seen.

    Returns:
        The new strip's name; None when the source strip is not in the open file.

    Raises:
        MediaError: Frames are missing, or no channel is free.
    """
    paths = find_frames(job_folder, job)
    place = find_source(placement)
    if place is None:
        return None
    free_place(place, placement, len(paths))  # before there is a step to undo
    with undo_step():
        place = find_source(placement)
        if place is None:
            return None
        name = insert(place, paths, job, placement, job_folder)
        if is_source_muted:
            place.strip.mute = True
    return name


def import_at_playhead(job_folder: Path, job: EditJob, placement: Placement, scene: Any) -> str:
    """Insert a result whose source is gone, as one undo step; returns the new strip's name.

    It comes in at the current frame, on the lowest free channel of the level being edited.

    Raises:
        MediaError: Frames are missing, or no channel is free.
    """
    paths = find_frames(job_folder, job)
    start = scene.frame_current
    free_channel_of(scene, start, len(paths))  # before there is a step to undo
    with undo_step():
        container, channel = free_channel_of(scene, start, len(paths))
        name = result_name(placement.strip_name, job)
        strip = strips.new_image(container, name=name, paths=paths, channel=channel, start=start)
        label(strip, job, placement, job_folder)
        return strip.name


def free_channel_of(scene: Any, start: int, length: int) -> tuple[Any, int]:
    """The level that is being edited, and its lowest channel that is free for so many frames.

    Raises:
        MediaError: There is none.
    """
    editor = scene.sequence_editor_create()
    container = editor.meta_stack[-1] if len(editor.meta_stack) else editor
    channel = strips.free_channel(container, 0, start, start + length)
    if channel is None:
        text = rpt_("No channel is free at frame {frame}.", frame=start)
        raise MediaError(text, hint=rpt_("Free one."))
    return container, channel


@contextlib.contextmanager
def undo_step() -> Iterator[None]:
    """What is done inside is one undo step."""
    # Without the push before, undo would also take back strips that scripts made earlier.
    bpy.ops.ed.undo_push(message="Before the edited strip")
    yield
    bpy.ops.ed.undo_push(message="Insert edited strip")


def insert(
    place: strips.Place, paths: list[str], job: EditJob, placement: Placement, job_folder: Path
) -> str:
    """Make the result strip; no undo step. Returns its name.

    Raises:
        MediaError: No channel above the source is free.
    """
    source = place.strip
    start, channel = free_place(place, placement, len(paths))
    name = result_name(source.name, job)
    strip = strips.new_image(place.container, name=name, paths=paths, channel=channel, start=start)
    try:
        copy_look(source, strip, placement)
        label(strip, job, placement, job_folder)
    except Exception:
        strips.children(place.container).remove(strip)  # half of a result is none
        raise
    return strip.name


def free_place(place: strips.Place, placement: Placement, length: int) -> tuple[int, int]:
    """First frame and channel of a result of so many frames above its source.

    Raises:
        MediaError: No channel above the source is free.
    """
    source = place.strip
    start = placement.left + strips.content_start(source) - placement.content_start
    channel = strips.free_channel(place.container, source.channel, start, start + length)
    if channel is None:
        raise MediaError(
            rpt_(
                "No channel above “{strip}” is free at frame {frame}.",
                strip=source.name,
                frame=start,
            ),
            hint=rpt_("Free one above it, then insert the result from the list."),
        )
    return start, channel


def label(strip: Any, job: EditJob, placement: Placement, job_folder: Path) -> None:
    """Write on a result strip what made it."""
    strip["delta_strip_source"] = placement.strip
    strip["delta_strip_source_name"] = placement.strip_name
    strip["delta_strip_source_prompt"] = job.source_prompt
    strip["delta_strip_target_prompt"] = job.target_prompt
    strip["delta_strip_seed"] = str(job.seed)  # may exceed what a custom property can hold
    strip["delta_strip_method"] = job.method
    strip["delta_strip_backbone"] = job.backbone
    versions = versions_of(job_folder) | {"blender": placement.blender_version}
    for name, version in versions.items():
        strip[f"delta_strip_{name}_version"] = version
    strip[JOB_KEY] = str(job_folder)
    strips.mark(strip)
    strip.select = False  # the selection is the editor's: the next edit is of their strips again


def versions_of(job_folder: Path) -> dict[str, str]:
    """Versions of the engine and of PyTorch that made a result; empty where it does not say."""
    try:
        result = json.loads((job_folder / job_store.RESULT).read_text(encoding="utf-8"))
        return {"engine": str(result["engine"]), "torch": str(result["machine"].get("torch", ""))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"engine": "", "torch": ""}


def copy_look(source: Any, result: Any, placement: Placement) -> None:
    """Give the result the source's blend, and its placement and colours unless they are in it."""
    names: list[str] = list(strips.BLEND)
    if placement.is_media_space:
        names += _PLACED
        for name in ("scale_x", "scale_y", "offset_x", "offset_y", "rotation", "origin", "filter"):
            setattr(result.transform, name, getattr(source.transform, name))
        for name in ("min_x", "max_x", "min_y", "max_y"):
            setattr(result.crop, name, getattr(source.crop, name))
    if not placement.is_rendered:
        names += [*_MEDIA, *strips.COLOUR]
        result.colorspace_settings.name = source.colorspace_settings.name
    for name in names:
        setattr(result, name, getattr(source, name))
    result.color_tag = source.color_tag
    # Keyframes and drivers: at the playhead they may have just begun to fade the source in.
    animated = (*names, *strips.PLACEMENT) if placement.is_media_space else names
    for collection, curve, path in curves.curves_of(source):
        if path.partition(".")[0] in animated:
            curves.copy_curve(collection, curve, f"{result.path_from_id()}.{path}")


def result_name(source_name: str, job: EditJob) -> str:
    """Name of a result strip, short enough for Blender, never cut inside a character."""
    name = f"{source_name} · {job.target_prompt}"
    data = name.encode()
    return name if len(data) <= _NAME_BYTES else data[:_NAME_BYTES].decode(errors="ignore")
