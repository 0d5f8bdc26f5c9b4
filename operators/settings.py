# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the settings of an edit, `scene.delta_strip`, and `to_job`.

Limits and defaults come from the job's own fields, so that the panel never offers what the engine
refuses.
"""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, cast

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..engine.errors import InvalidJobError, MaskError
from ..engine.job import Device, EditJob, EditSettings, Mask, Method
from ..engine.registry import DEFAULT_BACKBONE, find_backbone
from ..engine.schema import field_info
from . import strips
from .source_export import Export

_STRENGTH = field_info(EditSettings, "strength")
_FEATHER = field_info(Mask, "feather_px")
SEED_MAX = 2**31 - 1  # Blender's integers; the job itself takes 63 bits


def _remember_mask(settings: Any, _context: Any) -> None:
    """Keep the chosen strip's UUID, so that renaming it changes nothing."""
    place = strips.find_named(settings.id_data, settings.mask_strip)
    settings.mask_uuid = strips.mark(place.strip) if place else ""


class DELTA_STRIP_PG_settings(bpy.types.PropertyGroup):
    """What to change in the selected strips."""

    source_prompt: StringProperty(
        name="Source",
        description="What the strip shows now, in a few words, e.g. “a red ball moving over grass”",
        options={"TEXTEDIT_UPDATE"},
    )
    target_prompt: StringProperty(
        name="Target",
        description="What it should show instead: the same words with the one thing changed, "
        "e.g. “a blue ball moving over grass”",
        options={"TEXTEDIT_UPDATE"},
    )
    method: EnumProperty(
        name="Method",
        description="How the edit is found",
        items=[
            (
                "dds",
                "Delta Denoising",
                "Compares both descriptions on your frames; the fastest",
            ),
            (
                "dreammotion",
                "DreamMotion",
                "Also holds on to the source's structure and motion; about twice the time",
            ),
            (
                "assd",
                "Adaptive Sliding",
                "Smooths over time, looks at the source too and asks an image model; "
                "about twice the time",
            ),
            (
                "sds",
                "Score Distillation",
                "Without the source's description; washes out what it does not name. To compare",
            ),
        ],
        default="dds",
    )
    mask_strip: StringProperty(
        name="Mask",
        description="Strip that says where the picture may change: white may, black stays exactly "
        "as it was. Empty: the whole picture may change",
        update=_remember_mask,
    )
    mask_uuid: StringProperty(options={"HIDDEN"})
    mask_channel: EnumProperty(
        name="Channel",
        description="What of the mask strip's pictures is the mask",
        items=[
            ("luma", "Brightness", "White may change, black stays"),
            ("alpha", "Alpha", "Opaque may change, transparent stays"),
        ],
        default="luma",
    )
    use_invert_mask: BoolProperty(
        name="Invert", description="Swap what may change and what stays", default=False
    )
    feather_px: FloatProperty(
        name="Feather",
        description="Width of the soft transition, inward from the mask's edge, in pixels",
        default=0.0,
        min=_FEATHER.minimum or 0,
        max=_FEATHER.maximum or 500,
        soft_max=64,
        precision=1,
        subtype="PIXEL",
    )
    strength: FloatProperty(
        name="Strength",
        description="How far the edit goes: 0 leaves the clip, 1 is the complete edit, "
        "above 1 overdoes it",
        default=1.0,
        min=_STRENGTH.minimum or 0,
        max=_STRENGTH.maximum or 3,
        soft_max=2,
    )
    seed: IntProperty(
        name="Seed",
        description="Another number gives another variation; the same number gives the same result",
        default=0,
        min=0,
        max=SEED_MAX,
    )


@dataclass(frozen=True, kw_only=True)
class Computer:
    """The part of a job that comes from the preferences."""

    device: Device = "auto"
    threads: int = 1


def check_prompts(settings: Any) -> None:
    """Refuse empty prompts before anything is saved or rendered."""
    for name, example in (("source", "a red ball"), ("target", "a blue ball")):
        if not getattr(settings, f"{name}_prompt").strip():
            raise InvalidJobError(
                f"The {name} prompt is empty.", hint=f"Write a few words, e.g. “{example}”."
            )


def mask_place(scene: Any) -> strips.Place | None:
    """The chosen mask strip; None when the field is empty.

    Raises:
        MaskError: The chosen strip is gone.
    """
    settings = scene.delta_strip
    if not settings.mask_strip:
        return None
    place = strips.find([scene], settings.mask_uuid)
    place = place or strips.find_named(scene, settings.mask_strip)
    if place is None:
        raise MaskError(
            f"There is no mask strip “{settings.mask_strip}”.",
            hint="Choose another one, or leave the field empty.",
        )
    return place


def to_job(settings: Any, export: Export, *, fps: tuple[int, int], computer: Computer) -> EditJob:
    """The complete job for one strip.

    Args:
        settings: `scene.delta_strip`.
        export: Where the pictures are.
        fps: Frame rate of the scene.
        computer: Device and threads.

    Raises:
        InvalidJobError: A value cannot be honoured.
    """
    method = cast(Method, settings.method)
    recommended = find_backbone(DEFAULT_BACKBONE).recommended(method)
    mask = None
    if export.mask is not None:
        mask = Mask(
            media=export.mask.media,
            channel=cast(Literal["luma", "alpha"], settings.mask_channel),
            invert=settings.use_invert_mask,
            feather_px=settings.feather_px,
        )
    return EditJob(
        source=export.source.media,
        fps=fps,
        source_prompt=settings.source_prompt.strip(),
        target_prompt=settings.target_prompt.strip(),
        mask=mask,
        method=method,
        settings=dataclasses.replace(recommended, strength=round(settings.strength, 6)),
        backbone=DEFAULT_BACKBONE,
        seed=settings.seed,
        device=computer.device,
        threads=computer.threads,
    )


CLASSES = (DELTA_STRIP_PG_settings,)


def register() -> None:
    """Register the property group and put it on every scene."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    prop = PointerProperty(type=DELTA_STRIP_PG_settings)
    bpy.types.Scene.delta_strip = prop  # pyright: ignore[reportAttributeAccessIssue]


def unregister() -> None:
    """Undo `register`."""
    del bpy.types.Scene.delta_strip  # pyright: ignore[reportAttributeAccessIssue]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
