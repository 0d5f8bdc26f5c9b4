"""Pressing Edit and following the queue, as the tests do it."""

import time

import bpy
import pytest

from tests.blender.timeline import children


def results(scene):
    return [s for s in children(scene.sequence_editor) if s.get("delta_strip_job")]


def press_edit() -> set:
    return bpy.ops.delta_strip.edit("EXEC_DEFAULT")


def refused() -> str:
    with pytest.raises(RuntimeError) as caught:
        press_edit()
    return str(caught.value)


def start(part) -> list:
    """Queue the selection as a window does: without waiting."""
    return part("operators.edit").edit_selection(bpy.context)


def poll_until(part, condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, part("operators.jobs").queue.jobs
        part("operators.jobs").poll()
        time.sleep(0.01)
