# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the settings of an edit, `scene.delta_strip`, and `to_job`.

Limits and defaults come from the job's own fields, so that the panel never offers what the engine
refuses.
"""

# Blender's properties are annotations that call a function; no type checker knows that.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..engine.errors import InvalidJobError
from ..engine.job import Device, EditJob, EditSettings, Method
from ..engine.media import Mask
from ..engine.schema import field_info
from ..engine.working_size import PlannedSize, plan_size
from . import mask_choice, method_fields, model_choice
from .source_export import Export
from .words import rpt_

_STRENGTH = field_info(EditSettings, "strength")
_FEATHER = field_info(Mask, "feather_px")
_AREA = field_info(EditJob, "area_scale")
MOST_VARIATIONS = 16
SEED_MAX = 2**31 - 1  # Blender's integers; the job itself takes 63 bits


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
    preset: EnumProperty(
        name="Preset",
        description="Time against quality: how many steps the edit is found in",
        items=[
            ("draft", "Draft", "Half the recommended steps, each twice as large: a first look"),
            ("balanced", "Balanced", "What the model recommends"),
            ("quality", "Quality", "Twice the steps, each half as large: steadier, takes longer"),
        ],
        default="balanced",
    )
    changes: StringProperty(description="What was changed in Advanced, as JSON", options={"HIDDEN"})
    area_scale: FloatProperty(
        name="Working Area",
        description="Area of the pictures the model works on, as a share of what it works best "
        "at. Smaller needs less memory and time; the result has the strip's size all the same",
        default=1.0,
        min=_AREA.minimum or 0,
        max=_AREA.maximum or 4,
        precision=2,
    )
    mask_kind: EnumProperty(
        name="Mask",
        description="What says where the picture may change",
        items=[
            ("strip", "Strip", "Another strip's pictures"),
            ("data", "Mask", "A mask drawn in Blender, over the whole picture of the scene"),
            ("alpha", "Own Alpha", "The strip's own alpha: what is opaque may change"),
        ],
        default="strip",
    )
    mask_data: PointerProperty(
        name="Mask",
        description="Mask that says where the picture may change. Empty: the whole picture may",
        type=bpy.types.Mask,
    )
    mask_strip: StringProperty(
        name="Mask",
        description="Strip that says where the picture may change: white may, black stays exactly "
        "as it was. Empty: the whole picture may change",
        update=mask_choice.remember_strip,
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
    variations: IntProperty(
        name="Variations",
        description="How many seeds Variations tries, counted up from the one above",
        default=3,
        min=2,
        max=MOST_VARIATIONS,
    )


@dataclass(frozen=True, kw_only=True)
class Computer:
    """The part of a job that comes from the preferences."""

    device: Device = "auto"
    threads: int = 1


def check_prompts(prompts: tuple[str, str]) -> None:
    """Refuse empty prompts before anything is saved or rendered.

    Args:
        prompts: Source and target.
    """
    problems = (rpt_("The source prompt is empty."), rpt_("The target prompt is empty."))
    examples = ("a red ball", "a blue ball")
    for problem, prompt, example in zip(problems, prompts, examples, strict=True):
        if not prompt.strip():
            hint = rpt_("Write a few words, e.g. “{example}”.", example=example)
            raise InvalidJobError(problem, hint=hint)


def to_job(
    settings: Any,
    export: Export,
    *,
    fps: tuple[int, int],
    computer: Computer,
    prompts: tuple[str, str],
) -> EditJob:
    """The complete job for one strip.

    Args:
        settings: `scene.delta_strip`.
        export: Where the pictures are.
        fps: Frame rate of the scene.
        computer: Device and threads.
        prompts: Source and target.

    Raises:
        InvalidJobError: A value cannot be honoured.
        BackboneError: The model cannot be used.
    """
    numbers = method_fields.edit_settings(settings)
    backbone = model_choice.backbone_for(settings.method, numbers)
    mask = None
    if export.mask is not None:
        mask = Mask(
            media=export.mask.media,
            channel=mask_choice.mask_channel(settings),
            invert=settings.use_invert_mask,
            feather_px=settings.feather_px,
        )
    return EditJob(
        source=export.source.media,
        fps=fps,
        source_prompt=prompts[0],
        target_prompt=prompts[1],
        mask=mask,
        method=cast(Method, settings.method),
        settings=numbers,
        backbone=backbone,
        area_scale=round(settings.area_scale, 6),
        seed=settings.seed,
        device=computer.device,
        threads=computer.threads,
    )


def planned_size(settings: Any, size: tuple[int, int]) -> PlannedSize:
    """The size the backbone works at for pictures of this size, in px.

    Raises:
        InvalidJobError: The pictures are too long and narrow.
        BackboneError: The model cannot be used.
    """
    card = method_fields.backbone_card()
    pixels = int(card.working_pixels * settings.area_scale)
    return plan_size(*size, pixels=pixels, multiple=card.size_multiple)


FIELD_GROUPS = {
    method_fields.group_name(section): method_fields.make_group(section)
    for section in method_fields.sections()
}
for _name, _group in FIELD_GROUPS.items():
    DELTA_STRIP_PG_settings.__annotations__[_name] = PointerProperty(type=_group)
CLASSES = (*FIELD_GROUPS.values(), DELTA_STRIP_PG_settings)


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
