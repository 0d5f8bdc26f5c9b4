# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy and stdlib only): the demo's part inside Blender, without a window.

    python demo_in_blender.py REQUEST.json                            (bpy as a module)
    blender -b --factory-startup --python demo_in_blender.py -- REQUEST.json

What an editor would do by hand: install the extension from its zip, put movies and mask strips on
a timeline, write the prompts, select strips, press Edit, save, render. tools/make_demo.py writes
the request. Lines beginning with its `progress` word tell how far it is.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import bpy

MODULE = "bl_ext.user_default.delta_strip"
request: dict[str, Any] = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))


def tell(**values: object) -> None:
    """One line of progress."""
    print(request["progress"] + json.dumps(values), flush=True)


def install_extension() -> None:
    """Install the zip into this clean profile, as dropping it on Blender does."""
    bpy.ops.extensions.package_install_files(
        filepath=request["zip"], repo="user_default", enable_on_install=True
    )


def make_scene() -> Any:
    """An empty file whose one scene has a sequencer and shows pixels as they are."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.name = "Delta Strip demo"
    scene.sequence_editor_create()
    render = scene.render
    render.resolution_x, render.resolution_y = request["size"]
    render.resolution_percentage = 100
    render.fps, render.fps_base = request["fps"], 1
    render.dither_intensity = 0
    scene.view_settings.view_transform = "Standard"  # the default one changes the film's colours
    scene.view_settings.look = "None"
    if hasattr(bpy.context, "workspace") and hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    return scene


def children(scene: Any) -> Any:
    """Strips of the scene; the collection was renamed in Blender 4.4."""
    editor = scene.sequence_editor
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def set_handles(strip: Any, left: int, right: int) -> None:
    """Trim a strip; the properties were renamed in Blender 5.2."""
    if hasattr(strip, "left_handle"):
        strip.left_handle, strip.right_handle = left, right
    else:
        strip.frame_final_start, strip.frame_final_end = left, right


def handles(strip: Any) -> tuple[int, int]:
    """First frame, and the frame after the last."""
    if hasattr(strip, "left_handle"):
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def add_movie(scene: Any, clip: dict[str, Any]) -> None:
    """A movie strip, trimmed to the frames wanted."""
    strip = children(scene).new_movie(
        name=clip["name"],
        filepath=clip["path"],
        channel=1,
        frame_start=clip["start"] - clip["first"],
        fit_method="FIT",
    )
    set_handles(strip, clip["start"], clip["start"] + clip["frames"])


def add_mask(scene: Any, mask: dict[str, Any]) -> None:
    """An image strip, muted: it is read by the edit and not seen."""
    files = sorted(Path(mask["folder"]).glob("*.png"))
    strip = children(scene).new_image(
        name=mask["name"],
        filepath=str(files[0]),
        channel=6,
        frame_start=mask["start"],
        fit_method="FIT",
    )
    for file in files[1:]:
        strip.elements.append(file.name)
    set_handles(strip, mask["start"], mask["start"] + mask["frames"])
    strip.mute = True


def edit(scene: Any, wanted: dict[str, Any]) -> None:
    """Select strips, fill in the panel, press Edit; without a window that runs to the end."""
    for strip in children(scene):
        strip.select = strip.name in wanted["strips"]
    settings = scene.delta_strip
    settings.source_prompt, settings.target_prompt = wanted["prompts"]
    settings.mask_strip = wanted["mask"]
    settings.preset = "draft"  # half the steps: the demo is to take minutes
    settings.seed = 0
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(stop, wanted), daemon=True)
    watcher.start()
    try:
        result = bpy.ops.delta_strip.edit()  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        stop.set()
        watcher.join()
    if result != {"FINISHED"}:
        raise RuntimeError(f"The edit of {', '.join(wanted['strips'])} ended with {result}.")


def watch(stop: threading.Event, wanted: dict[str, Any]) -> None:
    """Pass on how far the queue is. Reads plain Python objects only, never Blender's."""
    queue = importlib.import_module(f"{MODULE}.operators.jobs").queue
    while not stop.wait(0.5):
        shares = [job.factor for job in list(queue.jobs) if job.title in wanted["strips"]]
        if job := queue.current:
            note = f"{job.title}, {job.stage or job.state} {job.done}/{job.total}"
            fraction = sum(shares) / len(wanted["strips"])
            tell(stage=wanted["stage"], fraction=fraction, note=note)


def describe(scene: Any) -> list[dict[str, Any]]:
    """Every strip of the timeline, results with their job folder."""
    return [
        {
            "name": strip.name,
            "type": strip.type,
            "channel": strip.channel,
            "handles": handles(strip),
            "mute": strip.mute,
            "source": strip.get("delta_strip_source", ""),
            "job": strip.get("delta_strip_job", ""),
            "uuid": strip.get("delta_strip_uuid", ""),
        }
        for strip in children(scene)
    ]


def render(scene: Any, folder: str) -> None:
    """The timeline as PNG files."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    settings.compression = 15
    scene.render.filepath = folder + "/######"
    count = scene.frame_end - scene.frame_start + 1
    written = []

    def report(*_: object) -> None:
        written.append(0)
        tell(stage="render", fraction=len(written) / count, note=f"{len(written)}/{count}")

    bpy.app.handlers.render_write.append(report)
    bpy.ops.render.render(animation=True, scene=scene.name)


def main() -> None:
    """From an empty file to a rendered timeline."""
    tell(stage="install")
    install_extension()
    scene = make_scene()
    for clip in request["clips"]:
        add_movie(scene, clip)
    for mask in request["masks"]:
        add_mask(scene, mask)
    last = max(handles(strip)[1] for strip in children(scene))
    scene.frame_start, scene.frame_end = 1, last - 1
    bpy.ops.wm.save_as_mainfile(filepath=request["blend"], check_existing=False)
    for wanted in request["edits"]:
        tell(stage=wanted["stage"])
        edit(scene, wanted)
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile()
    timeline = {"blender": bpy.app.version_string, "strips": describe(scene)}
    Path(request["timeline"]).write_text(json.dumps(timeline, indent=1), encoding="utf-8")
    tell(stage="render")
    render(scene, request["frames"])


def leave(status: int) -> None:
    """End the engine and this process, without Blender's own clean-up.

    In the wheel of Blender 4.5 that waits for ever, for a thread of its own that closes files.
    """
    importlib.import_module(f"{MODULE}.operators.jobs").queue.shut_down()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


try:
    main()
except BaseException:  # noqa: BLE001 - the process ends here, with its reason
    traceback.print_exc()
    leave(1)
leave(0)
