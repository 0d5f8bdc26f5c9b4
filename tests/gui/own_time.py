# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a Blender window: what our own timers and drawing take of the window's thread.

Processor time, so that a busy machine does not count, and beside it the time that passed, less that
in which the machine gave the thread no processor: there waiting for a disk or a lock counts too.
"""

import functools
import sys
import time
from collections.abc import Callable

import bpy
from steps import MODULE, part, unserved

longest: dict[str, dict[str, float]] = {}
"""By kind and name: most processor and passed seconds of one call, and how many there were."""


def measured(name: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def timed(*arguments, **options):
        used, began = time.thread_time(), time.monotonic() - unserved()
        try:
            return function(*arguments, **options)
        finally:
            used, passed = time.thread_time() - used, time.monotonic() - unserved() - began
            found = longest.setdefault(name, {"used": 0.0, "passed": 0.0, "calls": 0})
            found["used"] = round(max(found["used"], used), 4)
            found["passed"] = round(max(found["passed"], passed), 4)
            found["calls"] += 1

    return timed


def _for_blender(function: Callable, count: int) -> Callable:
    """Blender gives a method of its classes as many arguments as its signature names."""
    if count == 2:
        return lambda self, context: function(self, context)
    assert count == 8, "the line of a list"
    return lambda a, b, c, d, e, f, g, h: function(a, b, c, d, e, f, g, h)


def measure_everything() -> None:
    """Put a clock around every timer, every panel, menu and list, and the status bar."""
    modules = [module for name, module in sys.modules.items() if name.startswith(MODULE)]
    for cls in {cls for module in modules for cls in getattr(module, "CLASSES", ())}:
        for name in ("draw", "draw_item", "draw_header_preset"):
            if name in vars(cls):
                timed = measured(f"draw {cls.__name__}", vars(cls)[name])
                setattr(cls, name, _for_blender(timed, vars(cls)[name].__code__.co_argcount))
    for module, name in (("operators.jobs", "poll"), ("operators.background_work", "tick")):
        setattr(part(module), name, measured(f"timer {module}", getattr(part(module), name)))
    drawers = bpy.types.STATUSBAR_HT_header.draw._draw_funcs
    for index, function in enumerate(drawers):
        if function.__module__.startswith(MODULE):
            drawers[index] = measured("draw status bar", function)
