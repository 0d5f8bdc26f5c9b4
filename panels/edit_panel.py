# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): engine, selection, prompts, mask, and the Edit button."""

from __future__ import annotations

import functools
from typing import Any

import bpy

from ..engine.errors import EngineError
from ..operators import (
    edit,
    engine_setup,
    jobs,
    mask_choice,
    model_choice,
    new_jobs,
    source_export,
    strips,
    timings,
    wrapped_text,
)
from ..operators.presets import MENU
from ..operators.settings import planned_size
from ..operators.words import iface_
from .model_menus import draw_model
from .status import duration, status_text


class SequencerPanel:
    """What all our panels share: one tab of the sidebar, beside timeline and preview alike."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Delta Strip"


draw_text = functools.partial(
    wrapped_text.draw_text, margin_px=64, character_px=6.1, least_characters=16
)
"""Sentences as lines that fit the sidebar."""


def clips(scene: Any) -> list[tuple[int, tuple[int, int]]]:
    """Frames and size of what would be edited, strip by strip."""
    found = []
    for place in edit.editable(scene):
        strip = place.strip
        if strip.type != "SOUND":
            is_media = source_export.has_media_space(strip)
            size = strips.media_size(strip) if is_media else strips.scene_size(place.scene)
            found.append((strips.right(strip) - strips.left(strip), size))
    return found


def selection_line(scene: Any) -> str:
    """What would be edited: strips, frames, size."""
    found = clips(scene)
    if not found:
        return iface_("No strip is selected")
    frames, sizes = sum(frames for frames, _ in found), {size for _, size in found}
    is_alike = len(sizes) == 1
    size = size_text(scene.delta_strip, sizes.pop()) if is_alike else iface_("several sizes")
    one, count = iface_("1 strip"), len(found)
    strips_text = one if count == 1 else iface_("{count} strips", count=count)
    frames_text = iface_("1 frame") if frames == 1 else iface_("{count} frames", count=frames)
    return f"{strips_text} · {frames_text} · {size}"


def time_line(scene: Any) -> str:
    """How long that takes; empty when nothing is selected."""
    found = clips(scene)
    if not found:
        return ""
    is_loaded = jobs.queue.backbone == model_choice.chosen_name()
    try:
        seconds = timings.estimate(
            scene.delta_strip, found, new_jobs.this_computer(), is_loaded=is_loaded
        )
    except EngineError:
        return ""  # the button says what is wrong
    if seconds is None:
        return iface_("Time unknown before the first edit like this")
    return iface_("Takes about {time}", time=duration(seconds))


def size_text(settings: Any, size: tuple[int, int]) -> str:
    """A clip's size, and the one at which the model works on it."""
    text = "{}×{}".format(*size)
    try:
        plan = planned_size(settings, size)
    except EngineError:
        return f"{text} px"
    return f"{text} → {plan.padded_width}×{plan.padded_height} px"


def engine_line() -> tuple[str, str]:
    """The engine's state in a few words, and its icon."""
    queue = jobs.queue
    if queue.engine_problem:
        return queue.engine_problem, "ERROR"
    state = queue.engine.state if queue.engine is not None else "stopped"
    device = f" · {queue.device.upper()}" if queue.device else ""
    if device and queue.free_bytes:
        size = f"{queue.free_bytes / 1e9:.0f}"
        device += " · " + iface_("{size} GB free at start", size=size)
    if state == "starting":
        return iface_("Engine is starting"), "SORTTIME"
    if state == "busy":
        return iface_("Engine is working") + device, "PLAY"
    if state == "ready":
        return iface_("Engine is ready") + device, "CHECKMARK"
    text, is_ready = engine_setup.status_line()
    if is_ready:
        return iface_("Engine starts with the first edit"), "CHECKMARK"
    return text, "ERROR"


class DELTA_STRIP_PT_edit(SequencerPanel, bpy.types.Panel):
    """Settings of an edit."""

    bl_label = "Edit"
    bl_order = 0

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        scene = strips.sequencer_scene(context)
        draw_engine(layout)
        column = layout.column(align=True)
        column.label(text=selection_line(scene), icon="SEQ_SEQUENCER")
        if text := time_line(scene):
            column.label(text=text, icon="SORTTIME")
        draw_prompts(layout, scene)
        draw_mask(layout, scene)
        draw_preset(layout, scene)
        column = layout.column(align=True)
        column.prop(scene.delta_strip, "strength", slider=True)
        row = column.row(align=True)
        row.prop(scene.delta_strip, "seed")
        row.operator("delta_strip.new_seed", text="", icon="FILE_REFRESH")
        draw_button(layout, scene)


def draw_engine(layout: Any) -> None:
    """The engine's line with its buttons."""
    text, icon = engine_line()
    row = layout.row(align=True)
    if icon == "ERROR":
        draw_text(row, text, icon=icon)
    else:
        row.label(text=text, icon=icon)
    if jobs.queue.engine is not None and jobs.queue.engine.state != "stopped":
        row.operator("delta_strip.open_log", text="", icon="TEXT")
        row.operator("delta_strip.restart_engine", text="", icon="QUIT")
    elif icon == "ERROR":
        operator = row.operator("preferences.addon_show", text="", icon="PREFERENCES")
        operator.module = (__package__ or "").rpartition(".")[0]


def active_source(scene: Any) -> Any:
    """The active strip when it is selected and has a picture; else None."""
    strip = strips.active(scene)
    is_one = strip is not None and strip.select and strip.type != "SOUND"
    return strip if is_one else None


def draw_prompts(layout: Any, scene: Any) -> None:
    """Source and target of the selection, or of the active strip where it has its own."""
    strip = active_source(scene)
    own = getattr(strip, "delta_strip", None)
    words = own if own is not None and own.use_own_prompts else scene.delta_strip
    column = layout.column()
    column.use_property_split = False
    for name, text, hint in (
        ("source_prompt", "Source", iface_("What it shows now")),
        ("target_prompt", "Target", iface_("The same, one thing changed")),
    ):
        split = column.split(factor=0.24)
        split.label(text=text)
        split.prop(words, name, text="", placeholder=hint)
    if own is not None and (own.use_own_prompts or len(edit.editable(scene)) > 1):
        split = column.split(factor=0.24)
        split.label(text="")
        text = iface_("Only for “{strip}”", strip=strip.name)
        split.prop(own, "use_own_prompts", text=text)
    card = model_choice.card_to_show()
    if card is not None and card.note:
        draw_text(layout, iface_(card.note), icon="INFO")


def draw_preset(layout: Any, scene: Any) -> None:
    """Time against quality, the editor's own presets, the method, and the model."""
    split = layout.split(factor=0.24)
    split.label(text="Preset")
    row = split.row(align=True)
    row.prop(scene.delta_strip, "preset", expand=True)
    row.popover(panel=MENU, text="", icon="PRESET")
    split = layout.split(factor=0.24)
    split.label(text="Method")
    split.prop(scene.delta_strip, "method", text="")
    split = layout.split(factor=0.24)
    split.label(text="Model")
    draw_model(split)


def draw_mask(layout: Any, scene: Any) -> None:
    """What the mask is, and how it is read."""
    settings = scene.delta_strip
    column = layout.column()
    split = column.split(factor=0.24)
    split.label(text="Mask")
    split.row(align=True).prop(settings, "mask_kind", expand=True)
    split = column.split(factor=0.24)
    split.label(text="")
    if settings.mask_kind == "strip":
        if scene.sequence_editor is None:
            split.label(text="No strips yet")
            return
        name = strips.all_strips_name()
        split.prop_search(
            settings, "mask_strip", scene.sequence_editor, name, text="", icon="MOD_MASK"
        )
        if not settings.mask_strip:
            return
        column.row(align=True).prop(settings, "mask_channel", expand=True)
    elif settings.mask_kind == "data":
        split.prop(settings, "mask_data", text="")
        if settings.mask_data is None:
            return
    row = column.row(align=True)
    row.prop(settings, "use_invert_mask", toggle=True)
    row.prop(settings, "feather_px")
    if text := mask_choice.mask_gap(edit.editable(scene)[: edit.QUICK_CHECKS]):
        draw_text(column, text, icon="INFO")


def draw_button(layout: Any, scene: Any) -> None:
    """The Edit button; disabled it says why."""
    count = len(edit.editable(scene))
    column = layout.column()
    column.scale_y = 1.4
    text = iface_("Edit {count} Strips", count=count) if count > 1 else iface_("Edit Strip")
    column.operator("delta_strip.edit", text=text, icon="PLAY")
    row = layout.row(align=True)
    row.operator("delta_strip.test_frames", text="Test Frames", icon="RENDER_STILL")
    row.separator()
    row.operator("delta_strip.variations", text="Variations", icon="RENDERLAYERS")
    row.prop(scene.delta_strip, "variations", text="")
    if job := jobs.queue.current:
        # Also here, because the queue is often below the fold of a flat timeline.
        row = layout.row(align=True)
        row.progress(factor=job.factor, text=status_text(job))
        row.operator("delta_strip.cancel", text="", icon="CANCEL").job = str(job.folder)
    elif reason := edit.why_not(scene):
        draw_text(layout, reason)


CLASSES = (DELTA_STRIP_PT_edit,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
