# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, strips.py and curves.py only): a second Blender renders strips of a copy.

    blender -b --factory-startup --python render_script.py -- REQUEST.json
    python render_script.py REQUEST.json                          (bpy as a module)

The request names the .blend and, for each strip, its UUID, frames, size and folder. Pictures are
written to FOLDER.part, which becomes FOLDER when all are there. When standard input is a pipe, its
end means that whoever started this is gone, however it ended: then this ends at once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy


def load(name: str) -> ModuleType:
    """A module beside this file: here the extension is not installed."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"delta_strip_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


strips, curves = load("strips"), load("curves")
_OF_THE_SCENE = ("render.", "view_settings.", "sequence_editor.channels[")


def end_with_parent() -> None:
    """Look at standard input before each picture, when it is a pipe.

    Not in a thread: Blender's renderer and a waiting Python thread can block each other for ever.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode) and os.name == "posix":
        os.set_blocking(0, False)
        bpy.app.handlers.render_pre.append(_end_if_alone)


@bpy.app.handlers.persistent
def _end_if_alone(*_arguments: Any) -> None:
    try:
        is_at_end = not os.read(0, 1024)
    except BlockingIOError:
        return
    if is_at_end:
        os._exit(3)


def main(request_path: Path) -> None:
    """Render everything the request asks for that is not there yet."""
    request = json.loads(request_path.read_text(encoding="utf-8"))
    for rendering in request["renderings"]:
        folder = request_path.parent / rendering["folder"]
        if folder.exists():
            continue
        # A fresh file each time: preparing one strip mutes the others.
        bpy.ops.wm.open_mainfile(
            filepath=str(request_path.parent / request["blend"]),
            use_scripts=request["use_scripts"],
            load_ui=False,
        )
        render(rendering, folder)


def render(rendering: dict[str, Any], folder: Path) -> None:
    """Render one strip into a folder: 000001.png and so on."""
    if rendering["mask"]:
        place = add_mask(rendering)
    else:
        place = strips.find(bpy.data.scenes, rendering["uuid"])
    if place is None:
        raise SystemExit(f"The copy has no strip {rendering['uuid']}.")
    prepare_strip(place, is_media_space=rendering["is_media_space"])
    prepare_scene(place.scene, rendering)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    scene = place.scene
    scene.render.filepath = str(part / "frame######")
    frames = range(rendering["first"], rendering["last"] + 1)
    if frames[0] >= 0:
        scene.frame_start, scene.frame_end, scene.frame_step = frames[0], frames[-1], 1
        bpy.ops.render.render(animation=True, scene=scene.name)
    else:
        render_singly(scene, frames)
    for number, frame in enumerate(frames, 1):
        Path(scene.render.frame_path(frame=frame)).rename(part / f"{number:06d}.png")
    part.rename(folder)


def add_mask(rendering: dict[str, Any]) -> Any:
    """A strip that shows a mask as it is at each frame of the scene."""
    scene, mask = bpy.data.scenes[rendering["scene"]], bpy.data.masks[rendering["mask"]]
    # A mask strip begins with the mask's first frame, so that the mask's frames are the scene's,
    # and ends before its last one.
    mask.frame_start, mask.frame_end = rendering["first"], rendering["last"] + 1
    strip = strips.children(scene.sequence_editor).new_mask(
        name="mask", mask=mask, channel=1, frame_start=rendering["first"]
    )
    return strips.Place(scene, (), strip)


def render_singly(scene: Any, frames: range) -> None:
    """Render frames one by one: a scene's range cannot begin before frame 0."""
    bpy.context.window.scene = scene  # write_still takes the frame of the window's scene
    pattern = scene.render.filepath
    for frame in frames:
        scene.frame_set(frame)
        scene.render.filepath = scene.render.frame_path(frame=frame)
        bpy.ops.render.render(write_still=True, scene=scene.name)
        scene.render.filepath = pattern


def prepare_strip(place: Any, *, is_media_space: bool) -> None:
    """Leave only this strip and the meta strips around it, at full opacity."""
    kept = [*place.parents, place.strip]
    containers = [place.scene.sequence_editor, *place.parents]
    for container, keep in zip(containers, kept, strict=True):
        for strip in strips.children(container):
            stop_animation(strip, ("mute",))
            strip.mute = strip != keep
        for channel in container.channels:
            channel.mute = False
        stop_animation(keep, strips.BLEND)
        keep.blend_type = "REPLACE"
        keep.blend_alpha = 1.0
    # The result goes into the same meta strips, which will treat it once more.
    for parent in place.parents:
        stop_animation(parent, ("channels",))
        reset_placement(parent)
        parent.modifiers.clear()
        stop_animation(parent, strips.COLOUR)
        parent.color_multiply = parent.color_saturation = 1.0
    if is_media_space:
        reset_placement(place.strip)


def reset_placement(strip: Any) -> None:
    """No scaling, rotation, offset, crop or flip."""
    stop_animation(strip, strips.PLACEMENT)
    strip.transform.scale_x = strip.transform.scale_y = 1.0
    strip.transform.offset_x = strip.transform.offset_y = 0.0
    strip.transform.rotation = 0.0
    strip.crop.min_x = strip.crop.max_x = strip.crop.min_y = strip.crop.max_y = 0
    strip.use_flip_x = strip.use_flip_y = False


def stop_animation(strip: Any, names: tuple[str, ...]) -> None:
    """Let these properties keep the values they are given: each frame would set them anew."""
    for collection, curve, path in curves.curves_of(strip):
        if re.split(r"[.\[]", path, maxsplit=1)[0] in names:
            collection.remove(curve)


def stop_scene_animation(scene: Any) -> None:
    """The same for what decides about all strips: channels, size and colour management."""
    for collection in curves.curve_lists(scene):
        for curve in list(collection):
            if curve.data_path.startswith(_OF_THE_SCENE):
                collection.remove(curve)


def prepare_scene(scene: Any, rendering: dict[str, Any]) -> None:
    """Render settings that give back the pixels of 8-bit media unchanged."""
    stop_scene_animation(scene)
    render = scene.render
    render.resolution_x, render.resolution_y = rendering["size"]
    render.resolution_percentage = 100
    render.use_sequencer = True
    for name in ("use_compositing", "use_border", "use_stamp", "use_multiview", "use_placeholder"):
        setattr(render, name, False)
    render.use_overwrite = render.use_file_extension = True
    render.dither_intensity = 0.0
    strips.render_pictures(scene)
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA" if rendering["has_alpha"] else "RGB"
    render.image_settings.color_depth = "8"
    render.image_settings.compression = 15
    render.image_settings.color_management = "FOLLOW_SCENE"
    scene.display_settings.display_device = "sRGB"
    view = scene.view_settings
    # AgX, the default, moves pixels by up to 111/255; Raw is wrong from 5.0 on.
    view.view_transform, view.look = "Standard", "None"
    view.exposure, view.gamma = 0.0, 1.0
    view.use_curve_mapping = False
    strips.drop_white_balance(scene)


if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[-1]))
    sys.stdout.flush()
    os._exit(0)  # all is on the disk; Blender 4.5's own clean-up at the end sometimes hangs
