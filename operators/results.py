# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the list of finished edits, and the work of its buttons.

A result is a job folder with its result.json. The list is read when a file is opened, when a job
ends and on request, never while drawing, and in a thread: a folder takes 2 ms, or far longer.
"""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent
from bpy.props import CollectionProperty, IntProperty, PointerProperty, StringProperty

from ..engine import job_store
from ..engine.errors import EngineError, InvalidJobError
from ..engine.job import EditJob
from ..engine.reachable import has_file
from . import jobs, recovery, result_import, source_files, strips
from .folder_look import FolderLook
from .words import rpt_


@dataclass(frozen=True)
class Result:
    """A finished edit, as its folder says."""

    folder: Path
    title: str
    job: EditJob
    finished: float

    @property
    def picture(self) -> Path:
        """The frame in the middle of the clip."""
        number = (self.job.frame_count + 1) // 2
        return self.folder / result_import.FRAMES_FOLDER / f"{number:06d}.png"

    @property
    def date(self) -> str:
        """When it was finished, in local time."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.finished))


found: dict[str, Result] = {}
"""By folder, newest first."""
_read_before: dict[Path, tuple[float, Result | None]] = {}
on_request: list[Callable[[], None]] = []
"""Called when the editor asks to look again."""


class DELTA_STRIP_PG_result(bpy.types.PropertyGroup):
    """A line of the list; the rest is in `found`."""

    name: StringProperty(options={"HIDDEN"})
    folder: StringProperty(options={"HIDDEN"})


class DELTA_STRIP_PG_results(bpy.types.PropertyGroup):
    """The list as Blender draws it."""

    lines: CollectionProperty(type=DELTA_STRIP_PG_result)
    index: IntProperty(name="Result", description="The chosen result", options={"HIDDEN"})


def refresh() -> None:
    """Look for finished edits in all folders that ever held jobs."""
    look.look(recovery.all_roots())


def finished(roots: list[Path]) -> list[Result]:
    """Finished edits, newest first; touches no bpy."""
    folders = dict.fromkeys(folder for root in roots for folder in job_store.list_jobs(root))
    results = [result for folder in folders if (result := _read(folder)) is not None]
    return sorted(results, key=lambda result: result.finished, reverse=True)


def _show(results: list[Result]) -> None:
    if list(found.values()) == results:
        return
    chosen = chosen_result()
    found.clear()
    found.update((str(result.folder), result) for result in results)
    _fill_list(chosen)


look = FolderLook("results", finished, _show)


def _read(folder: Path) -> Result | None:
    """What a folder says; None when there is no result in it, or none that Blender made."""
    try:
        finished = (folder / job_store.RESULT).stat().st_mtime
    except OSError:
        return None
    known = _read_before.get(folder)
    if known is not None and known[0] == finished:
        return known[1]  # nothing in the folder of a finished job changes
    result = None
    if placement := result_import.load_placement(folder):
        with contextlib.suppress(EngineError):  # of another version
            result = Result(folder, placement.strip_name, job_store.load(folder), finished)
    _read_before[folder] = finished, result
    return result


def _fill_list(chosen: Result | None) -> None:
    listed = bpy.context.window_manager.delta_strip_results
    listed.lines.clear()
    for folder, result in found.items():
        line = listed.lines.add()
        line.name = f"{result.title} → {result.job.target_prompt}"
        line.folder = folder
    folders = list(found)
    key = str(chosen.folder) if chosen else ""
    listed.index = folders.index(key) if key in folders else 0


def chosen_result() -> Result | None:
    """The line that is chosen in the list."""
    listed = bpy.context.window_manager.delta_strip_results
    if not 0 <= listed.index < len(listed.lines):
        return None
    return found.get(listed.lines[listed.index].folder)


def folder_of(strip: Any) -> Path:
    """The job folder of a result strip; where its frames are now comes first, it may have moved."""
    beside = Path(source_files.absolute(strip.directory)).parent
    named = Path(strip[result_import.JOB_KEY])
    return beside if has_file(beside / job_store.JOB) else named


def strips_showing(folder: Path) -> list[strips.Place]:
    """Strips of the open file that show a job's frames."""
    return [
        place
        for scene in bpy.data.scenes
        for place in strips.walk(scene)
        if place.strip.get(result_import.JOB_KEY) and folder_of(place.strip) == folder
    ]


def insert(folder: Path, scene: Any, *, is_source_muted: bool = False) -> str:
    """Put a result into the timeline: above its source, or at the playhead when that is gone.

    Returns:
        The new strip's name.

    Raises:
        EngineError: It cannot be read, another Blender is about to insert it, or no channel is
            free.
    """
    job = job_store.load(folder)
    placement = result_import.load_placement(folder)
    if placement is None:
        raise InvalidJobError(rpt_("{folder} was not made by Blender.", folder=folder))
    lock = job_store.claim(folder)
    if lock is None:
        raise InvalidJobError(
            rpt_("A queue is about to insert this result itself."),
            hint=rpt_("Wait a moment, or look there."),
        )
    try:
        name = result_import.import_result(
            folder, job, placement, is_source_muted=is_source_muted
        ) or result_import.import_at_playhead(folder, job, placement, scene)
        job_store.mark_imported(folder)
    finally:
        lock.release()
    return name


def delete(folder: Path) -> None:
    """Delete a result with all its files.

    Raises:
        EngineError: A strip of the open file shows it, or it cannot be deleted.
    """
    if shown := strips_showing(folder):
        raise InvalidJobError(
            rpt_("“{strip}” shows these frames.", strip=shown[0].strip.name),
            hint=rpt_("Delete that strip first, and then the result."),
        )
    recovery.delete(folder)
    _show([result for result in found.values() if result.folder != folder])
    refresh()


@persistent
def _after_load(_path: Any) -> None:
    found.clear()  # the list of the file that was open is gone with its window manager
    refresh()


CLASSES = (DELTA_STRIP_PG_result, DELTA_STRIP_PG_results)


def register() -> None:
    """Register the list, and read it."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    prop = PointerProperty(type=DELTA_STRIP_PG_results)
    bpy.types.WindowManager.delta_strip_results = prop  # pyright: ignore[reportAttributeAccessIssue]
    bpy.app.handlers.load_post.append(_after_load)
    jobs.after_end.append(refresh)
    if not bpy.app.background:
        bpy.app.timers.register(refresh, first_interval=0.6)


def unregister() -> None:
    """Undo `register`."""
    if bpy.app.timers.is_registered(refresh):
        bpy.app.timers.unregister(refresh)
    look.close()
    jobs.after_end.remove(refresh)
    bpy.app.handlers.load_post.remove(_after_load)
    del bpy.types.WindowManager.delta_strip_results  # pyright: ignore[reportAttributeAccessIssue]
    found.clear()
    _read_before.clear()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
