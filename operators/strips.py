# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy and stdlib only, also on its own): the one place that knows 4.2 … 5.2.

Newer names are tried first: merely looking at an older one warns on 5.2. Collections are chosen by
`hasattr`, because an empty one is falsy.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bpy

UUID_KEY = "delta_strip_uuid"
BLEND = ("blend_type", "blend_alpha")
PLACEMENT = ("transform", "crop", "use_flip_x", "use_flip_y")
COLOUR = ("color_multiply", "color_saturation")
_NAME_KEY = "delta_strip_name"
_SCENE_KEY = "delta_strip_scene"
PICTURE_FILES = ("MOVIE", "IMAGE")


@dataclass(frozen=True)
class Place:
    """A strip and where it is. Holds Blender's own objects: never keep one from tick to tick."""

    scene: Any
    parents: tuple[Any, ...]
    strip: Any

    @property
    def container(self) -> Any:
        """The meta strip or the sequence editor whose child the strip is."""
        return self.parents[-1] if self.parents else self.scene.sequence_editor

    @property
    def is_locked(self) -> bool:
        """Whether the strip or its channel is locked."""
        channel = self.container.channels[self.strip.channel]
        return bool(self.strip.lock or channel.lock)


def children(container: Any) -> Any:
    """Strips directly in a sequence editor or a meta strip."""
    return container.strips if hasattr(container, "strips") else container.sequences


def all_strips_name() -> str:
    """Name of the sequence editor's collection of all strips, for `prop_search`."""
    has_new = "strips_all" in bpy.types.SequenceEditor.bl_rna.properties
    return "strips_all" if has_new else "sequences_all"


def strip_type() -> Any:
    """The type of all strips."""
    name = "Strip" if hasattr(bpy.types, "Strip") else "Sequence"
    return getattr(bpy.types, name)


def walk(scene: Any) -> Iterator[Place]:
    """Every strip of a scene, inside meta strips too."""
    editor = scene.sequence_editor
    if editor is None:
        return
    pending: list[tuple[Any, tuple[Any, ...]]] = [(editor, ())]
    while pending:
        container, parents = pending.pop()
        for strip in children(container):
            yield Place(scene, parents, strip)
            if strip.type == "META":
                pending.append((strip, (*parents, strip)))


def sequencer_scene(context: Any) -> Any:
    """The scene whose strips the sequencer shows (5.0 on: not always the window's)."""
    return getattr(context, "sequencer_scene", None) or context.scene


def selected(scene: Any) -> list[Place]:
    """Selected strips at the level the editor is in, from left to right.

    Read from the strips themselves: the context's list has two names and needs a window.
    """
    editor = scene.sequence_editor
    if editor is None:
        return []
    level = list(editor.meta_stack)
    places = [
        Place(scene, tuple(level), strip)
        for strip in children(level[-1] if level else editor)
        if strip.select
    ]
    return sorted(places, key=lambda place: (left(place.strip), place.strip.channel))


def active(scene: Any) -> Any:
    """The active strip, or None."""
    return scene.sequence_editor.active_strip if scene.sequence_editor else None


def left(strip: Any) -> int:
    """First frame a strip shows."""
    return int(strip.left_handle if hasattr(strip, "left_handle") else strip.frame_final_start)


def right(strip: Any) -> int:
    """The frame after the last one a strip shows."""
    return int(strip.right_handle if hasattr(strip, "right_handle") else strip.frame_final_end)


def content_start(strip: Any) -> int:
    """The frame at which the strip's untrimmed content begins."""
    return round(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def content_duration(strip: Any) -> int:
    """Frames of content between the strip's animation offsets."""
    if hasattr(strip, "content_duration"):
        return int(strip.content_duration)
    return int(strip.frame_duration)


def content_trim(strip: Any) -> tuple[int, int]:
    """Frames of the media cut off for good at its start and end."""
    if hasattr(strip, "content_trim_start"):
        return int(strip.content_trim_start), int(strip.content_trim_end)
    if hasattr(strip, "animation_offset_start"):
        return int(strip.animation_offset_start), int(strip.animation_offset_end)
    return 0, 0


def inputs(strip: Any) -> list[Any]:
    """Strips an effect strip takes its pictures from."""
    found = (getattr(strip, name, None) for name in ("input_1", "input_2"))
    return [strip for strip in found if strip is not None]


def is_retimed(strip: Any) -> bool:
    """Whether a media strip shows its pictures in another order or speed than one a frame."""
    if len(getattr(strip, "retiming_keys", ())) or strip.strobe > 1 or strip.use_reverse_frames:
        return True
    if strip.type != "MOVIE":
        return False
    render = strip.id_data.render
    # No property tells whether a movie follows its own frame rate; its length does.
    if abs(strip.fps - render.fps / render.fps_base) < 0.01:
        return False
    path = bpy.path.abspath(strip.filepath)
    return content_duration(strip) + sum(content_trim(strip)) != media_frame_count(path)


def media_frame_count(path: str) -> int:
    """Frames of a movie file as Blender counts them."""
    scene = bpy.data.scenes.new("Delta Strip (temporary)")
    try:
        editor = scene.sequence_editor_create()
        strip = children(editor).new_movie(name="movie", filepath=path, channel=1, frame_start=1)
        return content_duration(strip)
    finally:
        bpy.data.scenes.remove(scene)


def media_size(strip: Any) -> tuple[int, int]:
    """Width and height of a movie's or image's own pixels; (0, 0) when Blender cannot tell."""
    if strip.type not in PICTURE_FILES or not len(strip.elements):
        return 0, 0
    element = strip.elements[0]
    return element.orig_width, element.orig_height


def scene_size(scene: Any) -> tuple[int, int]:
    """Width and height of the scene's pictures at 100 %."""
    return scene.render.resolution_x, scene.render.resolution_y


def render_pictures(scene: Any) -> None:
    """Have a scene render pictures; from 5.0 on the kind of file is chosen before its format."""
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "IMAGE"


def drop_white_balance(scene: Any) -> None:
    """Have a scene keep its white as it is; 4.2 can do nothing else."""
    if hasattr(scene.view_settings, "use_white_balance"):
        scene.view_settings.use_white_balance = False


def frame_rate(scene: Any) -> tuple[int, int]:
    """Frames per second as numerator and denominator; 23.976 is 24000/1001."""
    scale = 100_000  # fps_base is a 32-bit float: 1.001 reads 1.00100005
    numerator, denominator = scene.render.fps * scale, round(scene.render.fps_base * scale)
    common = math.gcd(numerator, denominator)
    return numerator // common, denominator // common


def free_channel(container: Any, above: int, first: int, end: int) -> int | None:
    """The lowest channel above one, neither locked nor muted, that is empty from first to end."""
    taken = {s.channel for s in children(container) if left(s) < end and right(s) > first}
    for number in range(above + 1, len(container.channels)):
        channel = container.channels[number]
        if number not in taken and not (channel.lock or channel.mute):
            return number
    return None


def new_image(container: Any, *, name: str, paths: list[str], channel: int, start: int) -> Any:
    """An image strip from files of one folder, made without an operator."""
    strip = children(container).new_image(
        name=name, filepath=paths[0], channel=channel, frame_start=start, fit_method="ORIGINAL"
    )
    for path in paths[1:]:
        strip.elements.append(bpy.path.basename(path))
    return strip


def mark(strip: Any) -> str:
    """The strip's UUID; given now when it has none."""
    if not strip.get(UUID_KEY):
        strip[UUID_KEY] = os.urandom(16).hex()
        strip[_NAME_KEY] = strip.name
        strip[_SCENE_KEY] = strip.id_data.name
    return strip[UUID_KEY]


def settle(scenes: Any) -> None:
    """Give each strip that was duplicated with its UUID one of its own.

    The one that still has the scene and the name under which the UUID was given keeps it: also
    copying a scene duplicates its strips.
    """
    groups: dict[str, list[Any]] = {}
    for scene in scenes:
        for place in walk(scene):
            if key := place.strip.get(UUID_KEY):
                groups.setdefault(key, []).append(place.strip)
    for group in groups.values():
        group.sort(key=_strangeness)
        for strip in group[1:]:
            strip[UUID_KEY] = ""
            mark(strip)


def _strangeness(strip: Any) -> tuple[bool, bool]:
    scene = strip.id_data.name
    return scene != strip.get(_SCENE_KEY, scene), strip.name != strip.get(_NAME_KEY)


def find(scenes: Any, key: str) -> Place | None:
    """The strip with this UUID."""
    for scene in scenes:
        for place in walk(scene):
            if key and place.strip.get(UUID_KEY) == key:
                return place
    return None


def find_named(scene: Any, name: str) -> Place | None:
    """The strip with this name (names are unique in a scene)."""
    return next((place for place in walk(scene) if place.strip.name == name), None)
