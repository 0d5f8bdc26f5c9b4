# SPDX-License-Identifier: GPL-3.0-or-later
"""Making strips on every version of Blender."""

from pathlib import Path
from typing import Any

import bpy


def children(container: Any) -> Any:
    return container.strips if hasattr(container, "strips") else container.sequences


def add_images(
    container: Any, paths: list[Path], *, channel: int = 1, start: int = 1, name="images"
):
    strip = children(container).new_image(
        name=name, filepath=str(paths[0]), channel=channel, frame_start=start, fit_method="ORIGINAL"
    )
    for path in paths[1:]:
        strip.elements.append(path.name)
    return strip


def add_movie(container: Any, path: Path, *, channel: int = 1, start: int = 1, name: str = "movie"):
    return children(container).new_movie(
        name=name, filepath=str(path), channel=channel, frame_start=start, fit_method="ORIGINAL"
    )


def add_effect(container: Any, kind: str, *, channel: int, start: int = 1, length=10, inputs=()):
    new = bpy.app.version >= (5, 0)
    names = ("input1", "input2") if bpy.app.version >= (4, 4) else ("seq1", "seq2")
    given = dict(zip(names, inputs, strict=False))
    given |= {"length": length} if new else {"frame_end": start + length}
    return children(container).new_effect(
        name=kind.lower(), type=kind, channel=channel, frame_start=start, **given
    )


def trim(strip: Any, left: int, right: int) -> None:
    """Move the handles."""
    if hasattr(strip, "left_handle"):
        strip.right_handle, strip.left_handle = right, left
    else:
        strip.frame_final_end, strip.frame_final_start = right, left


def left(strip: Any) -> int:
    return strip.left_handle if hasattr(strip, "left_handle") else strip.frame_final_start


def right(strip: Any) -> int:
    return strip.right_handle if hasattr(strip, "right_handle") else strip.frame_final_end


def move(strip: Any, start: int) -> None:
    """Have the strip's content begin at this frame."""
    setattr(strip, "content_start" if hasattr(strip, "content_start") else "frame_start", start)


def select_only(scene: Any, *strips: Any) -> None:
    for strip in children(scene.sequence_editor):
        strip.select = strip in strips


def make_movie(path: Path, frames: list[Path], *, fps: int = 24) -> Path:
    """A lossless movie of pictures, written by Blender."""
    scene = bpy.data.scenes.new("film")
    add_images(scene.sequence_editor_create(), frames)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = 64, 48, 100
    render.fps = fps
    scene.frame_start, scene.frame_end = 1, len(frames)
    scene.view_settings.view_transform = "Standard"
    render.dither_intensity = 0
    if bpy.app.version >= (5, 0):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec = "MKV", "FFV1"
    render.use_file_extension = False
    render.filepath = str(path)
    bpy.ops.render.render(animation=True, scene=scene.name)
    bpy.data.scenes.remove(scene)
    return path
