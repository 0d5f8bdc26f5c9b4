# SPDX-License-Identifier: GPL-3.0-or-later
"""Every panel and menu is drawn in every state it can be in, on every version of Blender."""

from types import SimpleNamespace

import bpy
import pytest

from tests.blender.editing import press_edit, results, start
from tests.blender.layout import Layout, drawn
from tests.blender.pictures import write_sequence
from tests.blender.timeline import add_images

STATES = ("waiting", "exporting", "running", "importing", "done", "kept", "failed", "cancelled")


@pytest.fixture
def everything(part):
    """Draws all of our classes that Blender would draw now; gives back by name what is said."""

    def draw() -> dict[str, Layout]:
        modules = part("panels")._MODULES
        classes = [cls for module in modules for cls in getattr(module, "CLASSES", ())]
        found = {}
        for cls in classes:
            # A UIList is drawn by its list; presets by Blender's own class.
            if hasattr(cls, "draw_item") or "draw" not in vars(cls):
                continue
            if getattr(cls, "poll", None) is None or cls.poll(bpy.context):
                found[cls.__name__.removeprefix("DELTA_STRIP_")] = drawn(cls)
        part("panels.results_panel").DELTA_STRIP_PT_results.draw_header_preset(
            SimpleNamespace(layout=Layout()), bpy.context
        )
        return found | {"status bar": drawn(part("panels.status_bar"))}

    return draw


ALWAYS = {"PT_edit", "PT_advanced", "PT_results", "MT_strip", "MT_model", "MT_image_model"}


def test_an_empty_scene(scene, everything):
    found = everything()
    assert found.keys() == ALWAYS | {"status bar"}
    assert "No strip is selected" in found["PT_edit"].texts
    assert found["status bar"].texts == []


@pytest.mark.parametrize("method", ["dds", "sds", "dreammotion", "assd"])
def test_the_numbers_of_each_method(scene, clip, everything, method):
    scene.delta_strip.method = method
    scene.delta_strip.common_fields.steps = 3
    layout = everything()["PT_advanced"]
    assert {"area_scale", "steps", "guidance_scale"} <= set(layout.fields)
    assert layout.operators.count("DELTA_STRIP_OT_reset_settings") == 2


@pytest.mark.parametrize("kind", ["strip", "data", "alpha"])
@pytest.mark.parametrize("is_chosen", [True, False])
def test_each_kind_of_mask(scene, clip, everything, tmp_path, kind, is_chosen):
    values = scene.delta_strip
    values.mask_kind = kind
    if is_chosen:
        paths = write_sequence(tmp_path / "m", 2)
        add_images(scene.sequence_editor, paths, channel=5, start=10, name="mask").select = False
        values.mask_strip, values.mask_data = "mask", bpy.data.masks.new("drawn")
    texts = everything()["PT_edit"].texts
    assert ("Invert" in texts) == (is_chosen or kind == "alpha"), texts
    is_short = any("covers frames 10–11 of 10–15" in text for text in texts)
    assert is_short == (is_chosen and kind == "strip")


def test_empty_fields_say_what_belongs_into_them_or_what_empty_means(scene, clip, everything):
    scene.delta_strip.method = "assd"
    scene.delta_strip.assd_fields.image_weight = 1.0
    found = everything()
    hints = ["What it shows now", "The same, one thing changed"]
    assert found["PT_edit"].placeholders == hints
    assert found["PT_advanced"].placeholders == ["The model's own image mode"]


def test_strips_with_prompts_of_their_own(scene, clip, everything, tmp_path):
    add_images(scene.sequence_editor, write_sequence(tmp_path / "o", 2), channel=2, start=10)
    scene.sequence_editor.active_strip = clip
    clip.delta_strip.use_own_prompts = True
    assert "Only for “clip”" in everything()["PT_edit"].texts


@pytest.mark.parametrize("state", STATES)
def test_a_queue_with_a_job_in_each_state(part, scene, clip, queue, everything, state):
    job, _waiting = start(part) + start(part)
    job.state, job.total, job.done, job.stage = state, 48, 12, "editing"
    job.message, job.hint, job.code = "It is too large.", "Choose less.", "out_of_memory"
    job.warnings, job.result_name = ["The mask is empty."], "clip · a blue ball"
    job.seconds_left, job.is_cancelling = 30.0, False
    found = everything()
    said = " ".join(found["PT_queue"].texts)
    expected = {
        "waiting": "Waiting",
        "exporting": "Rendering the strip 12/48",
        "running": "Editing 12/48 · 30 s left",
        "importing": "Inserting",
        "done": "In the timeline as “clip · a blue ball”",
        "kept": "Finished, in Results",
        "failed": "It is too large.",
        "cancelled": "Cancelled",
    }
    assert expected[state] in said
    assert "The mask is empty." in said
    buttons = {"Retry", "Smaller", "Copy Report", "Open Log"} & set(found["PT_queue"].texts)
    failed = {"Retry", "Smaller", "Copy Report", "Open Log"}
    assert buttons == {"failed": failed, "cancelled": {"Retry"}}.get(state, set())
    is_active = state in ("exporting", "running", "importing")
    assert ("DELTA_STRIP_OT_cancel" in found["status bar"].operators) == is_active


def test_a_job_to_recover(part, scene, everything, tmp_path):
    recovery = part("operators.recovery")
    recovery.found.append(recovery.Recovered(tmp_path / "job", "clip", ""))
    recovery.found.append(recovery.Recovered(tmp_path / "job 2", "clip", str(tmp_path / "a.blend")))
    said = " ".join(everything()["PT_recovery"].texts)
    assert "an unsaved file" in said
    assert "a.blend" in said


def test_a_result_that_is_the_active_strip(scene, clip, everything):
    press_edit()
    scene.sequence_editor.active_strip = results(scene)[0]
    found = everything()
    assert found.keys() == ALWAYS | {"PT_strip", "PT_queue", "status bar"}
    assert "Reuse Settings of Result" in found["MT_strip"].texts


def test_an_engine_that_runs_says_where_and_with_how_much_memory(part, scene, queue, everything):
    queue.engine = SimpleNamespace(state="ready", close=lambda must_wait: None, poll=list)
    queue.device, queue.free_bytes = "cuda", 12_300_000_000
    assert "Engine is ready · CUDA · 12 GB free at start" in everything()["PT_edit"].texts
    queue.free_bytes = 0  # it cannot tell
    assert "Engine is ready · CUDA" in everything()["PT_edit"].texts
