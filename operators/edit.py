# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): edits of the selection; functions do the work."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import bpy

from .. import preferences
from ..engine.errors import EngineError, InvalidJobError
from . import (
    jobs,
    mask_choice,
    method_fields,
    model_choice,
    new_jobs,
    settings,
    strips,
)
from .source_export import check_strip, plan_export
from .strip_prompts import prompts_of
from .words import iface_, rpt_

QUICK_CHECKS = 16  # strips looked at while drawing


def editable(scene: Any) -> list[strips.Place]:
    """What would be edited: the selection, without sounds and the mask when others are selected."""
    places = strips.selected(scene)
    values = scene.delta_strip
    is_strip = values.mask_kind == "strip" and values.mask_strip
    mask_uuid = values.mask_uuid if is_strip else ""
    kept = [
        place
        for place in places
        if place.strip.type != "SOUND"
        and not (mask_uuid and place.strip.get(strips.UUID_KEY) == mask_uuid)
    ]
    return kept or places


def why_not(scene: Any) -> str:
    """Why Edit cannot be pressed; empty when it can.

    Quick enough for drawing: it looks at some files of some strips. `edit_selection` looks at all.
    """
    places = editable(scene)
    if not places:
        return rpt_("Select a strip")
    try:
        for place in places[:QUICK_CHECKS]:
            check_strip(place, is_quick=True)
            settings.check_prompts(prompts_of(place))
        mask_choice.mask_of(places[0])
        values = scene.delta_strip
        model_choice.backbone_for(values.method, method_fields.edit_settings(values))
        preferences.engine_python()
    except EngineError as error:
        return rpt_(error.message)
    except OSError as error:
        return rpt_("A file cannot be read: {reason}.", reason=error)
    return ""


def under_playhead(scene: Any) -> list[strips.Place]:
    """Those of the strips to edit that show the current frame."""
    frame = scene.frame_current
    return [p for p in editable(scene) if strips.left(p.strip) <= frame < strips.right(p.strip)]


def why_no_test(scene: Any) -> str:
    """Why Test Frames cannot be pressed; empty when it can."""
    if reason := why_not(scene):
        return reason
    return "" if under_playhead(scene) else rpt_("Move the playhead over a selected strip")


def test_window(place: strips.Place) -> range:
    """As many frames as the model sees at once, around the playhead and within the strip."""
    first, end = strips.left(place.strip), strips.right(place.strip)
    length = min(method_fields.backbone_card().window_frames, end - first)
    start = place.scene.frame_current - length // 2
    start = min(max(start, first), end - length)
    return range(start, start + length)


def edit_selection(
    context: Any, *, is_test: bool = False, variations: int = 1
) -> list[jobs.QueuedJob]:
    """Queue one job for each selected strip and variation.

    Args:
        context: Blender's.
        is_test: Only a few frames at the playhead, of the strips that are there.
        variations: How many seeds, counted up from the chosen one.

    Raises:
        EngineError: A strip, a prompt, the mask or the engine cannot be used; nothing was queued.
    """
    scene = strips.sequencer_scene(context)
    places = under_playhead(scene) if is_test else editable(scene)
    if not places:
        here = rpt_("No strip is selected at the playhead.")
        text = here if is_test else rpt_("No strip is selected.")
        raise InvalidJobError(text, hint=rpt_("Select one or more strips."))
    for place in places:
        settings.check_prompts(prompts_of(place))
    preferences.engine_python()
    strips.settle(bpy.data.scenes)
    channel = mask_choice.mask_channel(scene.delta_strip)
    values = scene.delta_strip
    model_choice.backbone_for(values.method, method_fields.edit_settings(values))
    plans = []
    for place in places:
        frames = test_window(place) if is_test else None
        mask = mask_choice.mask_of(place)
        export = plan_export(place, mask, mask_channel=channel, frames=frames)
        settings.planned_size(values, export.source.size)
        plans.append((place, export))
    seeds = range(values.seed, values.seed + variations)
    queued = new_jobs.queue_jobs(plans, seeds)
    for job in queued:
        if is_test:
            job.title += " · " + iface_("test")
        if variations > 1:
            job.title += " · " + iface_("seed {seed}", seed=job.job.seed)
    return queued


def finish(operator: Any, queued: list[jobs.QueuedJob]) -> set[str]:
    """In background mode run the jobs to their end; in a window return at once."""
    if not bpy.app.background:
        return {"FINISHED"}
    jobs.run_to_end(queued)
    failed = [job for job in queued if job.state not in ("done", "kept")]
    for job in queued:
        warnings = [*job.warnings, job.message] if job.state == "kept" else job.warnings
        for warning in warnings:
            operator.report({"WARNING"}, f"{job.title}: {warning}")
    for job in failed:
        text = f"{job.title}: {job.message or job.state} {job.hint}".strip()
        operator.report({"ERROR"}, text)
    return {"CANCELLED"} if failed else {"FINISHED"}


class _EditOperator:
    """An operator that queues jobs for the selection."""

    reason = staticmethod(why_not)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A reason is shown on the disabled button; scripts get the error of `execute`."""
        reason = "" if bpy.app.background else cls.reason(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)  # type: ignore[attr-defined] - of bpy.types.Operator
        return not reason

    def queue(self, context: Any) -> list[jobs.QueuedJob]:
        """Queue the jobs."""
        return edit_selection(context)

    def execute(self, context: Any) -> set[str]:
        """Queue the jobs; in background mode also run them."""
        try:
            queued = self.queue(context)
        except EngineError as error:
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        except OSError as error:  # a drive that went while its files were looked at
            text = rpt_("A file cannot be read: {reason}.", reason=error)
            self.report({"ERROR"}, text)  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return finish(self, queued)


class DELTA_STRIP_OT_edit(_EditOperator, bpy.types.Operator):
    """Edit the selected strips, one job each. You can go on working; results come in above them"""

    bl_idname = "delta_strip.edit"
    bl_label = "Edit Strips"


class DELTA_STRIP_OT_test_frames(_EditOperator, bpy.types.Operator):
    """Edit only a few frames around the playhead, to see in short time what an edit would do"""

    bl_idname = "delta_strip.test_frames"
    bl_label = "Edit Test Frames"
    reason = staticmethod(why_no_test)

    def queue(self, context: Any) -> list[jobs.QueuedJob]:
        """Queue the test."""
        return edit_selection(context, is_test=True)


class DELTA_STRIP_OT_variations(_EditOperator, bpy.types.Operator):
    """Edit the selected strips several times, each time with the next seed, to choose from"""

    bl_idname = "delta_strip.variations"
    bl_label = "Edit in Variations"

    def queue(self, context: Any) -> list[jobs.QueuedJob]:
        """Queue a job for each seed."""
        scene = strips.sequencer_scene(context)
        return edit_selection(context, variations=scene.delta_strip.variations)


class DELTA_STRIP_OT_new_seed(bpy.types.Operator):
    """Roll the dice: another seed gives another variation"""

    bl_idname = "delta_strip.new_seed"
    bl_label = "New Seed"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Choose a seed."""
        scene = strips.sequencer_scene(context)
        scene.delta_strip.seed = random.randint(0, settings.SEED_MAX)
        return {"FINISHED"}


CLASSES = (
    DELTA_STRIP_OT_edit,
    DELTA_STRIP_OT_test_frames,
    DELTA_STRIP_OT_variations,
    DELTA_STRIP_OT_new_seed,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
