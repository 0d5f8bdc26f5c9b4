# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): where the engine is and where results go."""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from .engine.errors import EnvironmentSetupError
from .engine.job import Device
from .engine.reachable import has_file, has_folder
from .engine.request import default_threads
from .engine.worker_options import Memory, WorkerOptions

PYTHON_VARIABLE = "DELTA_STRIP_PYTHON"
EXTENSION_ROOT = Path(__file__).resolve().parent
LOCKS = EXTENSION_ROOT / "vendor" / "locks"

Section = Literal["engine", "models", "computer", "results", "network", "diagnostics"]

sections: dict[Section, Callable[[Any], None]] = {}
"""Drawn below a section's fields; the operators put their states and buttons here."""

engine_blocks: list[Callable[[], str]] = []
"""Each says why the engine cannot be used now; empty when it can."""


class DELTA_STRIP_preferences(bpy.types.AddonPreferences):
    """Preferences of Delta Strip."""

    bl_idname = __package__ or ""

    engine_source: EnumProperty(
        name="Engine",
        description="Where the engine's Python and its packages are",
        items=[
            ("managed", "Own environment", "Installed and repaired with the buttons below"),
            ("existing", "Existing Python", "A Python that already has the engine's packages"),
        ],
        default="managed",
    )
    build: EnumProperty(
        name="Build",
        description="Which build of the engine's packages is installed",
        items=[
            ("auto", "Automatic", "For NVIDIA GPUs where there is a usable one, else processor"),
            ("cpu", "Processor", "Smaller, about 2 GB; works everywhere"),
            ("cuda", "NVIDIA GPU", "About 8 GB; needs a driver of release 580 or newer"),
        ],
        default="auto",
    )
    environment_folder: StringProperty(
        name="Folder",
        description="Folder of the engine's environment, about 1.5 GB (CPU) or 6 GB (CUDA). Empty: "
        "in Blender's folder for this extension, where it is removed when the extension is",
        subtype="DIR_PATH",
    )
    existing_python: StringProperty(
        name="Python",
        description="Python program of an environment that has the engine's packages. Empty: the "
        f"environment variable {PYTHON_VARIABLE}. That variable also wins over “Own environment” "
        "when it is set, for development and tests",
        subtype="FILE_PATH",
    )
    build_python: StringProperty(
        name="Build from Python",
        description="Python program, 3.11 to 3.13, that the engine's environment is made from. "
        "Empty: Blender's own",
        subtype="FILE_PATH",
    )
    index_url: StringProperty(
        name="Package index",
        description="Address of an extra Python package index for the installation, e.g. for CPU "
        "builds of torch. Empty: pip's own settings",
    )
    model: StringProperty(
        name="Model",
        description="Folder of the model that edits, one of the list below. Empty: the demo model "
        "that comes with Delta Strip",
    )
    output_folder: StringProperty(
        name="Results",
        description="Folder for jobs and edited frames. Empty: “delta_strip” beside the saved "
        ".blend, or “Delta Strip” in your video folder while it is not saved",
        subtype="DIR_PATH",
    )
    device: EnumProperty(
        name="Device",
        description="What computes the edit",
        items=[
            ("auto", "Automatic", "A CUDA or Apple GPU when there is one, else the processor"),
            ("cpu", "Processor", "Slow, always works"),
            ("cuda", "NVIDIA GPU", "CUDA"),
            ("mps", "Apple GPU", "Metal"),
        ],
        default="auto",
    )
    threads: IntProperty(
        name="Threads",
        description="Processor threads of the engine; part of what makes a result repeatable. "
        "0: half of the processor's beside a window, so that it stays quick, else all",
        default=0,
        min=0,
        max=256,
    )

    cache_limit_gb: FloatProperty(
        name="Cache Limit (GB)",
        description="Most that failed and cancelled jobs, the working files of finished ones and "
        "what is kept for the next edit of a clip may take, in GB; after an edit the oldest go "
        "first. Results are never removed. 0: no limit",
        default=20.0,
        min=0.0,
        max=10_000.0,
        precision=1,
    )
    memory: EnumProperty(
        name="Memory",
        description="How much of the GPU's memory the engine's models may take. No choice changes "
        "a pixel; an edit that does not fit is tried once more on a smaller working size",
        items=[
            ("auto", "Automatic", "From the size of the model and the memory that is free"),
            ("low", "Low", "As Medium; methods that look at the structure keep less: slower"),
            ("medium", "Medium", "Only the part of the model that is working is on the GPU"),
            ("high", "High", "The whole model stays on the GPU: the fastest"),
            (
                "cpu",
                "CPU",
                "None: the processor computes, whatever Device says. Slow, always works",
            ),
        ],
        default="auto",
    )
    idle_minutes: IntProperty(
        name="Idle Minutes",
        description="Minutes without an edit after which the engine drops its models, so that "
        "their memory is free for other programs; the next edit loads them again. 0: never",
        default=10,
        min=0,
        max=1440,
    )

    def draw(self, _context: Any) -> None:
        """One section below the other."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        parts: tuple[tuple[Section, str, str, Callable[[Any], None] | None], ...] = (
            ("engine", "Engine", "SYSTEM", self.draw_engine),
            ("models", "Models", "NODE_COMPOSITING", None),
            ("computer", "Computer", "DESKTOP", self.draw_computer),
            ("results", "Results", "FILE_FOLDER", self.draw_results),
            ("network", "Network", "INTERNET", self.draw_network),
            ("diagnostics", "Help", "HELP", None),
        )
        for name, title, icon, draw_fields in parts:
            layout.label(text=title, icon=icon)
            column = layout.column()
            if draw_fields is not None:
                draw_fields(column)
            if name in sections:
                sections[name](column)
            layout.separator()

    def draw_engine(self, layout: Any) -> None:
        """Where the engine is."""
        layout.prop(self, "engine_source")
        if self.engine_source == "existing":
            layout.prop(self, "existing_python")
        else:
            layout.prop(self, "environment_folder")
            layout.prop(self, "build")
            layout.prop(self, "build_python")

    def draw_computer(self, layout: Any) -> None:
        """What edits may use."""
        row = layout.row()
        row.enabled = self.memory != "cpu"
        row.prop(self, "device")
        layout.prop(self, "threads")
        layout.prop(self, "memory")
        layout.prop(self, "idle_minutes")

    def draw_results(self, layout: Any) -> None:
        """Where results go."""
        layout.prop(self, "output_folder")
        layout.prop(self, "cache_limit_gb")

    def draw_network(self, layout: Any) -> None:
        """What is used to download."""
        column = layout.column()
        column.enabled = bpy.app.online_access
        column.prop(self, "index_url")


def get_preferences() -> DELTA_STRIP_preferences:
    """The extension's preferences."""
    return bpy.context.preferences.addons[__package__ or ""].preferences  # type: ignore[return-value]


def save_later() -> None:
    """Have Blender save the preferences as it does after a click; scripts' changes it does not."""
    bpy.context.preferences.is_dirty = True


def user_folder() -> Path:
    """Blender's folder for this extension's settings and logs; never the extension's own folder."""
    path = bpy.utils.extension_path_user(__package__ or "", create=True)
    return Path(path)


def environment_folder() -> Path:
    """Folder of the engine's own environment."""
    chosen = get_preferences().environment_folder
    return Path(bpy.path.abspath(chosen)) if chosen else user_folder() / "engine"


def is_managed() -> bool:
    """Whether the engine runs from its own environment."""
    return get_preferences().engine_source == "managed" and not os.environ.get(PYTHON_VARIABLE)


def engine_python() -> Path:
    """The Python that runs the engine.

    Raises:
        EnvironmentSetupError: It does not exist, or cannot be used now.
    """
    from .engine.environment import python_of  # 2 ms less at the start

    for reason in (block() for block in engine_blocks):
        if reason:
            raise EnvironmentSetupError(reason, hint="Wait until that has ended.")
    preferences = get_preferences()
    named = os.environ.get(PYTHON_VARIABLE, "")
    if preferences.engine_source == "existing":
        named = preferences.existing_python or named
        if not named:
            raise EnvironmentSetupError(
                "No Python is chosen for the engine.",
                hint="Choose one in the preferences of Delta Strip, or use its own environment.",
            )
    python = Path(bpy.path.abspath(named)) if named else python_of(environment_folder())
    if not has_file(python):
        if not named:
            raise EnvironmentSetupError(
                "The engine is not installed.",
                hint="Install it in the preferences of Delta Strip.",
            )
        raise EnvironmentSetupError(
            f"The engine's Python {python} does not exist.",
            hint="Choose another one in the preferences of Delta Strip.",
        )
    return python.absolute()


def jobs_root(blend: str = "") -> Path:
    """Folder that holds the job folders.

    Args:
        blend: Path of the .blend, empty while it is not saved.
    """
    if chosen := get_preferences().output_folder:
        return Path(bpy.path.abspath(chosen))
    if blend:
        return Path(blend).parent / "delta_strip"
    videos = Path.home() / "Videos"
    return (videos if has_folder(videos) else Path.home()) / "Delta Strip"


def engine_device() -> Device:
    """What computes the edit."""
    preferences = get_preferences()
    return "cpu" if preferences.memory == "cpu" else cast("Device", preferences.device)


def engine_threads() -> int:
    """Processor threads a job is given."""
    return get_preferences().threads or default_threads(is_beside_window=not bpy.app.background)


def worker_options() -> WorkerOptions:
    """How the engine treats the computer."""
    preferences = get_preferences()
    # “CPU” is a device to the engine.
    memory = "auto" if preferences.memory == "cpu" else cast("Memory", preferences.memory)
    return WorkerOptions(idle_minutes=preferences.idle_minutes, memory=memory)


CLASSES = (DELTA_STRIP_preferences,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
