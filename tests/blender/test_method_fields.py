# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets and the numbers of the methods: what the panel shows is what the job gets."""

import dataclasses
import json
from pathlib import Path

import bpy
import pytest

from tests.blender.editing import press_edit, refused
from tests.blender.timeline import children


@pytest.fixture
def fields(part):
    return part("operators.method_fields")


@pytest.fixture
def values(scene):
    return scene.delta_strip


def job_of(part) -> dict:
    queue = part("operators.jobs").queue
    return json.loads((queue.jobs[-1].folder / "job.json").read_text(encoding="utf-8"))


def recommended(fields, values):
    return fields.backbone_card().recommended(values.method)


def test_untouched_fields_show_what_the_backbone_recommends_for_the_method(fields, values):
    for method in ("dds", "dreammotion", "assd", "sds"):
        values.method = method
        expected = recommended(fields, values)
        for section in fields.sections():
            group = getattr(values, fields.group_name(section))
            own = getattr(expected, section) if section else expected
            for field in fields.fields_of(section):
                shown = getattr(group, field.name)
                assert shown == pytest.approx(getattr(own, field.name)), (section, field.name)


def test_a_job_gets_exactly_the_changed_numbers(part, clip, fields, values):
    values.common_fields.steps = 9
    values.common_fields.timestep_schedule = "descending"
    values.common_fields.guidance_scale = 0.1
    values.method = "dreammotion"
    values.dreammotion_fields.spatial_share = 0.7
    values.dreammotion_fields.checkpointing = True
    values.area_scale = 0.5
    assert press_edit() == {"FINISHED"}
    job = job_of(part)
    expected = dataclasses.asdict(recommended(fields, values))
    expected |= {"steps": 9, "timestep_schedule": "descending", "guidance_scale": 0.1}
    expected["dreammotion"] |= {"spatial_share": 0.7, "checkpointing": True}
    assert job["settings"] == expected
    assert job["area_scale"] == 0.5


@pytest.mark.parametrize(("preset", "pace"), [("draft", 0.5), ("balanced", 1), ("quality", 2)])
def test_a_preset_changes_the_steps_of_the_job(part, clip, fields, values, preset, pace):
    values.preset = preset
    press_edit()
    found, expected = job_of(part)["settings"], recommended(fields, values)
    assert found["steps"] == round(expected.steps * pace)
    largest = part("engine.schema").field_info(type(expected), "step_size").maximum
    assert found["step_size"] == pytest.approx(min(expected.step_size / pace, largest))
    assert found["averaging"] == pytest.approx(expected.averaging ** (1 / pace), rel=1e-5)


def test_a_changed_number_stays_and_the_others_follow_the_preset(fields, values):
    values.common_fields.guidance_scale = 2.5
    values.preset = "quality"
    assert values.common_fields.guidance_scale == 2.5
    assert values.common_fields.steps == 2 * recommended(fields, values).steps


def test_a_number_set_back_to_the_recommended_one_follows_the_recommendation_again(values):
    steps = values.common_fields.steps
    values.common_fields.steps = steps + 1
    values.dreammotion_fields.spatial_share = 0.9
    values.dreammotion_fields.property_unset("spatial_share")
    values.common_fields.steps = steps
    values.preset = "draft"
    assert values.common_fields.steps == steps / 2


@pytest.mark.parametrize("method", ["dds", "dreammotion"])
def test_the_numbers_of_an_earlier_job_come_back_exactly(fields, values, method):
    values.method, values.preset, values.strength = method, "quality", 0.7
    values.common_fields.guidance_scale = 3.3
    values.dreammotion_fields.mask_scope = "all"
    wanted = fields.edit_settings(values)
    values.preset, values.strength, values.changes = "draft", 1.0, ""
    values.assd_fields.threshold = 3.0
    fields.take_over(values, wanted)
    assert fields.edit_settings(values) == wanted
    assert values.preset == "quality"


def test_the_reset_buttons_undo_one_change_or_all(fields, values):
    steps = values.common_fields.steps
    values.common_fields.steps, values.assd_fields.threshold = 3, 2.0
    bpy.ops.delta_strip.reset_settings(section="assd", field="threshold")
    assert fields.is_changed(values, "", "steps")
    assert not fields.is_changed(values, "assd", "threshold")
    bpy.ops.delta_strip.reset_settings()
    assert values.common_fields.steps == steps
    assert values.changes == ""


def test_numbers_stay_within_the_engines_limits(values):
    values.common_fields.averaging = 3.0
    assert values.common_fields.averaging == pytest.approx(0.99)
    values.common_fields.steps = 0
    assert values.common_fields.steps == 1


def test_numbers_that_do_not_go_together_are_refused_with_their_names(clip, values):
    values.common_fields.timestep_min = 0.9
    values.common_fields.timestep_max = 0.4
    assert "timestep_min 0.9 is not below timestep_max 0.4" in refused()


def test_numbers_without_an_effect_are_not_offered(fields, values):
    def offered(section: str) -> set:
        return {
            field.name
            for field in fields.fields_of(section)
            if fields.has_effect(values, section, field.metadata["info"])
        }

    assert "step_size" in offered("")
    assert "effective_step" not in offered("")
    assert "spatial_weight" not in offered("dreammotion")
    values.common_fields.step_rule = "fixed"
    values.dreammotion_fields.similarity_rule = "fixed"
    assert "step_size" not in offered("")
    assert "effective_step" in offered("")
    assert {"spatial_weight", "temporal_weight"} <= offered("dreammotion")
    assert "spatial_share" not in offered("dreammotion")


def test_a_preset_of_ones_own_brings_everything_back_but_the_prompts(part, scene, values):
    values.method, values.preset, values.strength = "assd", "draft", 0.5
    values.assd_fields.self_weight = 0.3
    values.target_prompt = "a green ball"
    assert bpy.ops.delta_strip.preset_add(name="Löwe 1") == {"FINISHED"}
    presets = part("operators.presets")
    folder = Path(bpy.utils.user_resource("SCRIPTS", path=f"presets/{presets.FOLDER}"))
    (path,) = folder.glob("*.py")
    values.method, values.preset, values.strength = "dds", "quality", 1.5
    values.target_prompt = "a white ball"
    bpy.ops.delta_strip.reset_settings()
    bpy.ops.script.execute_preset(filepath=str(path), menu_idname=presets.MENU)
    assert (values.method, values.preset, values.strength) == ("assd", "draft", 0.5)
    assert values.assd_fields.self_weight == pytest.approx(0.3)
    assert values.target_prompt == "a white ball"
    bpy.ops.delta_strip.preset_add(name=path.stem, remove_name=True)
    assert not path.exists()


def test_undo_takes_back_a_changed_number(scene, values):
    bpy.ops.ed.undo_push(message="before")
    steps = values.common_fields.steps
    values.common_fields.steps = 5
    bpy.ops.ed.undo_push(message="steps")
    bpy.ops.ed.undo()
    assert bpy.context.scene.delta_strip.common_fields.steps == steps
    bpy.ops.ed.redo()
    assert bpy.context.scene.delta_strip.common_fields.steps == 5


def test_pictures_too_narrow_for_the_model_are_refused_before_anything_is_written(
    part, scene, clip, tmp_path
):
    scene.delta_strip.area_scale = 1 / 64
    clip.transform.scale_x = 0.5  # in scene space: 64 × 2 px
    scene.render.resolution_y = 4
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=3, frame_start=10)
    clip.move_to_meta(meta)
    clip.select, meta.select = False, True
    assert "the shorter side needs" in refused()
    assert not (tmp_path / "Ergebnisse mit Leerzeichen").exists()
