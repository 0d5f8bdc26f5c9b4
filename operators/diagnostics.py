# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): what to send when asking for help; the network's state."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import getpass
import os
import platform
import sys
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from .. import preferences
from ..engine import __version__
from ..engine.errors import EngineError
from . import engine_setup, jobs, model_choice
from .setup_section import describe
from .setup_task import machine
from .words import iface_, rpt_
from .wrapped_text import draw_text

_GPU_SECONDS = 5.0


def diagnostics(job_folder: Path | None = None) -> str:
    """Versions, device, driver and the last lines of the logs, without the user's name.

    Args:
        job_folder: The job whose log is wanted; the last one's when not given.
    """
    from ..engine.diagnostics import report  # here: what Blender's start need not spend
    from ..engine.job_store import LOG

    machine.look()
    machine.wait(_GPU_SECONDS)
    logs = {"setup": engine_setup.setup_log(), "engine": jobs.engine_log()}
    if job_folder is not None:
        logs["job"] = job_folder / LOG
    elif jobs.queue.jobs:
        logs["last job"] = jobs.queue.jobs[-1].folder / LOG
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        user = ""
    return report(_facts(), logs, home=Path.home(), user=user)


def _facts() -> dict[str, str]:
    from ..engine.environment_place import free_bytes

    preference = preferences.get_preferences()
    root = preferences.jobs_root(bpy.data.filepath)
    engine, _ = engine_setup.status_line()
    facts = {
        "Delta Strip": __version__,
        "Blender": f"{bpy.app.version_string} ({bpy.app.build_hash.decode(errors='replace')})",
        "System": f"{platform.platform()}, {os.cpu_count()} processor threads",
        "Blender's Python": sys.version.split()[0],
        "Online access": "on" if bpy.app.online_access else "off",
        "Engine": engine,
        "Engine source": preference.engine_source,
        "Device": f"{preferences.engine_device()} (last used: {jobs.queue.device or 'none'})",
        "Memory": preference.memory,
        "Threads": str(preferences.engine_threads()),
        "Model": _model(),
        "GPUs": "; ".join(f"{gpu.description} {gpu.problem}".strip() for gpu in machine.gpus)
        or "no NVIDIA GPU found",
        "Results": f"{root} ({free_bytes(root) / 1e9:.0f} GB free)",
    }
    if preferences.is_managed():
        state = engine_setup.known_state()
        packages = ", ".join(f"{name} {version}" for name, version in state.packages.items())
        facts["Environment"] = f"{state.status}, {describe(state)}, {state.fingerprint}"
        facts["Packages"] = packages or "none"
    return facts


def _model() -> str:
    from ..engine.model_library import check_there

    name = model_choice.chosen_name()
    try:
        card = model_choice.chosen_card()
        check_there(card)
    except EngineError as error:
        return f"{name}: {error}"
    return f"{name}: {card.title} ({card.kind})"


def draw_network(layout: Any) -> None:
    """Why the network is not used, and how to allow it."""
    if bpy.app.online_access:
        text = iface_("Used only to install or repair the engine, when you press the button.")
        draw_text(layout, text)
        return
    text = iface_(
        "Blender's online access is off, so nothing can be downloaded. Edits need no network, and "
        "the engine can be installed from a folder."
    )
    if bpy.app.online_access_override:
        more = iface_(
            "Blender was started in offline mode: start it without --offline-mode to change it."
        )
        draw_text(layout, f"{text} {more}", icon="INTERNET_OFFLINE")
        return
    more = iface_("To download, turn on Allow Online Access in the System preferences.")
    draw_text(layout, f"{text} {more}", icon="INTERNET_OFFLINE")
    row = layout.row()
    row.operator("screen.userpref_show", text="Open System Preferences").section = "SYSTEM"


def draw_help(layout: Any) -> None:
    """The button to copy diagnostics."""
    row = layout.row(align=True)
    row.operator("delta_strip.copy_diagnostics", icon="COPYDOWN")


class DELTA_STRIP_OT_copy_diagnostics(bpy.types.Operator):
    """Copy versions, device, driver and the last lines of the logs, to paste them when asking for \
help. Your user name is left out; names of films and prompts in the logs are not"""

    bl_idname = "delta_strip.copy_diagnostics"
    bl_label = "Copy Diagnostics"

    job: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: Any) -> set[str]:
        """Put them on the clipboard."""
        text = diagnostics(Path(self.job) if self.job else None)
        context.window_manager.clipboard = text
        self.report({"INFO"}, rpt_("Copied {count} lines.", count=len(text.splitlines())))
        return {"FINISHED"}


CLASSES = (DELTA_STRIP_OT_copy_diagnostics,)


def register() -> None:
    """Register the operator and its parts of the preferences."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    preferences.sections["network"] = draw_network
    preferences.sections["diagnostics"] = draw_help


def unregister() -> None:
    """Undo `register`."""
    del preferences.sections["network"]
    del preferences.sections["diagnostics"]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
