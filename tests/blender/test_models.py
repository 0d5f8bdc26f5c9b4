# SPDX-License-Identifier: GPL-3.0-or-later
"""Model folders: added, verified, chosen, really used; and never silently replaced."""

import json
import shutil
import threading
import time
from pathlib import Path

import bpy
import pytest

from tests.blender.conftest import MODULE, ROOT
from tests.blender.editing import press_edit, refused, results
from tests.blender.layout import Layout, drawn
from tests.unit.model_folders import change_json, make_folder, write_card

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def models(part, scene):
    """The list of models: empty, with the demo model chosen."""
    choice, preferences = part("operators.model_choice"), part("preferences")

    def reset() -> None:
        part("operators.model_look").look.wait()
        choice.library_file().unlink(missing_ok=True)
        choice.known.forget()
        preferences.get_preferences().property_unset("model")

    reset()
    yield choice
    reset()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A text-to-video model that recommends 11 steps of dds."""
    made = make_folder(tmp_path / "modèle à moi")
    recommended = [{"method": "dds", "settings": {"steps": 11, "guidance_scale": 2.0}}]
    write_card(
        made,
        title="Mine",
        checksums=(UNET,),
        window_frames=4,
        working_pixels=16384,
        note="Only for tests.",
        recommended_settings=recommended,
    )
    return made


@pytest.fixture
def image_folder(tmp_path) -> Path:
    made = make_folder(tmp_path / "picture", unet="UNet2DConditionModel")
    write_card(made, title="Picture", kind="stable_diffusion")
    return made


def add(folder: Path) -> str:
    assert bpy.ops.delta_strip.add_model_folder(directory=f"{folder}/") == {"FINISHED"}
    return str(folder)


def use(folder: Path) -> str:
    name = add(folder)
    assert bpy.ops.delta_strip.use_model(folder=name) == {"FINISHED"}
    return name


def section(part) -> str:
    layout = Layout()
    part("preferences").sections["models"](layout)
    return " ".join(layout.texts)


def job_of(part) -> dict:
    queue = part("operators.jobs").queue
    return json.loads((queue.jobs[-1].folder / "job.json").read_text(encoding="utf-8"))


def damage(folder: Path) -> None:
    path = folder / UNET
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def why_not(part) -> str:
    return part("operators.edit").why_not(bpy.context.scene)


def test_without_folders_the_demo_model_is_listed_and_edits(part, models, clip):
    text = section(part)
    assert "Delta Strip demo · GPL-3.0-or-later · comes with Delta Strip" in text
    assert "Add Model Folder" in text
    assert press_edit() == {"FINISHED"}
    assert job_of(part)["backbone"] == "demo"


def test_an_added_folder_is_listed_with_title_licence_size_and_note(part, models, folder):
    name = add(folder)
    text = section(part)
    assert "Mine · CC0-1.0 · 0 MB" in text
    assert name in text.replace(" ", "") or folder.name in text
    assert "Only for tests." in text
    assert models.chosen_name() == "demo", "adding is not choosing"


def test_a_folder_that_is_no_model_is_refused_and_not_listed(part, models, tmp_path):
    with pytest.raises(RuntimeError, match="is not a model's folder"):
        bpy.ops.delta_strip.add_model_folder(directory=str(tmp_path))
    with pytest.raises(RuntimeError, match="is not there"):
        bpy.ops.delta_strip.add_model_folder(directory=str(tmp_path / "gone"))
    assert models.known.library.entries == ()


def test_a_chosen_model_gives_the_job_its_folder_numbers_and_size(part, models, clip, folder):
    scene = bpy.context.scene
    fields, settings = part("operators.method_fields"), part("operators.settings")
    before = scene.delta_strip.common_fields.steps
    bpy.context.preferences.is_dirty = False
    name = use(folder)
    assert bpy.context.preferences.is_dirty, "Blender saves the choice when it ends"
    assert fields.backbone_card().title == "Mine"
    assert scene.delta_strip.common_fields.steps == 11 != before
    assert scene.delta_strip.common_fields.guidance_scale == 2.0
    plan = settings.planned_size(scene.delta_strip, (640, 480))
    assert (plan.padded_width, plan.padded_height) == (192, 128)
    assert part("operators.edit").test_window(part("operators.edit").editable(scene)[0]) == range(
        10, 14
    )
    assert why_not(part) == ""
    assert press_edit() == {"FINISHED"}
    job = job_of(part)
    assert (job["backbone"], job["settings"]["steps"]) == (name, 11)
    bpy.ops.delta_strip.use_model(folder="")
    assert press_edit() == {"FINISHED"}
    assert (job_of(part)["backbone"], job_of(part)["settings"]["steps"]) == ("demo", before)


def test_times_are_kept_and_estimated_for_each_model(part, models, clip, folder):
    timings, settings = part("operators.timings"), part("operators.settings")
    values, computer = bpy.context.scene.delta_strip, part("operators.new_jobs").this_computer()

    def estimate() -> float | None:
        return timings.estimate(values, [(6, (64, 48))], computer, is_loaded=True)

    timings.known()[:] = []
    assert isinstance(computer, settings.Computer)
    pace = {"method": "dds", "device": computer.device, "threads": computer.threads}
    pace |= {"loading": 1.0, "step": 1e-6, "pixel": 1e-6}
    timings.known().append(timings.Pace(backbone="demo", **pace))
    assert estimate()
    name = use(folder)
    assert estimate() is None
    timings.known().append(timings.Pace(backbone=name, **pace))
    assert estimate()
    timings.known()[:] = []


def test_the_panel_knows_whether_the_chosen_model_is_loaded(part, models, clip, folder, queue):
    assert queue.backbone == ""
    press_edit()
    assert queue.backbone == "demo"
    name = use(folder)
    assert queue.backbone != models.chosen_name()
    press_edit()
    assert queue.backbone == name
    queue.stop_engine()
    assert queue.backbone == ""


def test_the_result_names_its_model(part, models, clip, folder):
    name = use(folder)
    press_edit()
    (strip,) = results(bpy.context.scene)
    assert strip["delta_strip_backbone"] == name
    bpy.context.scene.sequence_editor.active_strip = strip
    facts = dict(part("panels.strip_panel").facts(bpy.context.scene, strip))
    assert facts["Model"] == "Mine"
    part("operators.results").refresh()
    assert "Mine" in drawn(part("panels.results_panel").DELTA_STRIP_PT_results).texts
    bpy.ops.delta_strip.remove_model_folder(folder=name)
    assert models.title_of(name) == folder.name


def test_settings_of_another_models_job_say_so(part, models, clip, folder):
    press_edit()
    job = part("operators.jobs").queue.jobs[-1].job
    use(folder)
    notes = part("operators.settings_reuse").apply(bpy.context.scene, job)
    assert "It was edited with the model Delta Strip demo; Mine is chosen now." in notes
    assert part("operators.method_fields").edit_settings(bpy.context.scene.delta_strip) == (
        job.settings
    )


def test_a_damaged_file_is_found_by_verify_and_keeps_the_model_from_editing(
    part, models, clip, folder
):
    name = use(folder)
    damage(folder)
    assert why_not(part) == "", "nothing is read while drawing"
    bpy.ops.delta_strip.verify_model_folder(folder=name)
    assert "is damaged: its checksum" in section(part)
    assert "Mine" in section(part), "it keeps its name"
    assert "Mine cannot be used: " in why_not(part)
    assert "is damaged" in refused()
    assert part("operators.jobs").queue.jobs == []
    assert bpy.context.scene.delta_strip.common_fields.steps == 11, "the panel shows its numbers"
    make_folder(folder)
    bpy.ops.delta_strip.verify_model_folder(folder=name)
    assert why_not(part) == ""


def test_a_model_that_was_damaged_from_the_start_is_listed_and_cannot_be_chosen(
    part, models, folder
):
    damage(folder)
    name = add(folder)
    assert "is damaged" in section(part)
    with pytest.raises(RuntimeError, match="cannot be used"):
        bpy.ops.delta_strip.use_model(folder=name)
    assert models.chosen_name() == "demo"


def test_a_model_whose_folder_vanished_never_becomes_the_demo_model(part, models, clip, folder):
    scene = bpy.context.scene
    name = use(folder)
    folder.rename(folder.with_name("elsewhere"))
    assert why_not(part) == f"The model's folder {name} is not there."
    assert "is not there" in refused()
    assert "is not there" in section(part)
    plan = part("operators.source_export").plan_export(part("operators.edit").editable(scene)[0])
    settings = part("operators.settings")
    with pytest.raises(part("engine.errors").BackboneError, match="is not there"):
        settings.to_job(
            scene.delta_strip,
            plan,
            fps=(24, 1),
            computer=settings.Computer(),
            prompts=("a red ball", "a blue ball"),
        )
    folder.with_name("elsewhere").rename(folder)
    assert why_not(part) == ""


def test_a_lost_list_is_an_honest_error(part, models, clip, folder):
    name = use(folder)
    models.library_file().unlink()
    models.known.forget()
    assert why_not(part) == f"The chosen model's folder {name} is not on the list of models."
    assert "is not on the list" in refused()
    assert "is not on the list" in section(part)
    assert bpy.context.scene.delta_strip.common_fields.steps > 0, "the panel can still be drawn"
    add(folder)
    assert why_not(part) == ""


def test_a_list_that_cannot_be_read_is_said(part, models, clip, folder):
    use(folder)
    models.library_file().write_text('{"entries": 3}', encoding="utf-8")
    models.known.forget()
    assert "The list of model folders is lost" in section(part)
    assert "is not on the list" in why_not(part)


def test_another_blender_that_changed_the_list_meanwhile_loses_nothing(part, models, folder):
    other = models.KnownModels()
    assert (other.library.entries, models.known.library.entries) == ((), ())
    name = add(folder)
    entry = part("engine.model_library").ModelEntry(folder="/another/model")
    other.change(lambda library: library.with_entry(entry), models.library_file())
    assert [item.folder for item in other.library.entries] == [name, entry.folder]
    bpy.ops.delta_strip.remove_model_folder(folder=name)
    assert models.known.library.entries == (entry,)


def test_a_list_that_cannot_be_written_is_said_and_known_until_blender_ends(
    part, models, folder, monkeypatch
):
    add(folder)
    library, errors = part("engine.model_library"), part("engine.errors")
    path = models.library_file()

    def add_entry(name: str) -> None:
        entry = library.ModelEntry(folder=name)
        models.known.change(lambda known: known.with_entry(entry), path)

    def fail(*_) -> None:
        raise errors.StorageError("The disk is full.")

    with monkeypatch.context() as full:
        full.setattr(library, "write_library", fail)
        add_entry("/another")
        add_entry("/third")
        assert models.known.problem == "The disk is full."
    add_entry("/fourth")
    assert models.known.problem == ""
    listed = [entry.folder for entry in library.read_library(path).entries]
    assert listed == [str(folder), "/another", "/third", "/fourth"]


def test_removing_the_chosen_model_has_the_demo_model_edit_and_keeps_the_files(
    part, models, clip, folder
):
    name = use(folder)
    bpy.ops.delta_strip.remove_model_folder(folder=name)
    assert models.chosen_name() == "demo"
    assert (folder / UNET).exists()
    assert "Mine" not in section(part)
    assert why_not(part) == ""


def test_list_and_choice_survive_unregistering(extension, part, models, clip, folder):
    name = use(folder)
    extension.unregister()
    extension.register()
    choice = part("operators.model_choice")
    assert choice.chosen_name() == name
    assert choice.chosen_card().title == "Mine"
    assert "Mine · CC0-1.0" in section(part)


def test_an_image_model_guides_and_does_not_edit(part, models, clip, image_folder, folder):
    scene = bpy.context.scene
    name, video = add(image_folder), add(folder)
    assert "image model, guides only" in section(part)
    with pytest.raises(RuntimeError, match="Picture is an image model"):
        bpy.ops.delta_strip.use_model(folder=name)
    with pytest.raises(RuntimeError, match="Mine is no image model"):
        bpy.ops.delta_strip.use_image_model(folder=video)
    assert bpy.ops.delta_strip.use_image_model(folder=name) == {"FINISHED"}
    scene.delta_strip.method = "assd"
    scene.delta_strip.assd_fields.image_weight = 1.0
    assert press_edit() == {"FINISHED"}
    assert job_of(part)["settings"]["assd"]["image_backbone"] == name
    image_folder.rename(image_folder.with_name("elsewhere"))
    assert "is not there" in why_not(part)
    scene.delta_strip.method = "dds"
    assert why_not(part) == "", "only Adaptive Sliding asks it"
    scene.delta_strip.method = "assd"
    bpy.ops.delta_strip.use_image_model(folder="")
    assert why_not(part) == ""


def test_a_recommended_image_model_is_found_by_its_id_among_the_folders(
    part, models, folder, image_folder
):
    recommended = [{"method": "assd", "settings": {"assd": {"image_backbone": "picture"}}}]
    change_json(folder / "delta_strip.json", recommended_settings=recommended)
    bpy.ops.delta_strip.use_model(folder=add(folder))
    values = bpy.context.scene.delta_strip
    values.method = "assd"
    assert values.assd_fields.image_backbone == "picture"
    name = add(image_folder)
    assert values.assd_fields.image_backbone == name
    assert not values.changes


def test_an_image_models_folder_that_was_typed_must_be_there(part, models, clip, tmp_path):
    values = bpy.context.scene.delta_strip
    values.method = "assd"
    values.assd_fields.image_weight = 1.0
    values.assd_fields.image_backbone = str(tmp_path / "gone")
    assert "is not there" in why_not(part)
    assert "is not there" in refused()


def test_the_menus_offer_what_can_be_used(part, models, clip, folder, image_folder, tmp_path):
    menus = part("panels.model_menus")
    assert drawn(menus.DELTA_STRIP_MT_model).texts == ["Delta Strip demo", "Add Model Folder"]
    use(folder)
    add(image_folder)
    broken = make_folder(tmp_path / "broken")
    write_card(broken, title="Broken", checksums=(UNET,))
    damage(broken)
    add(broken)
    assert drawn(menus.DELTA_STRIP_MT_model).texts == [
        "Delta Strip demo",
        "Mine",
        "Add Model Folder",
    ]
    image = drawn(menus.DELTA_STRIP_MT_image_model).texts
    assert image == ["The model's own image mode", "Picture"]


def test_the_panel_names_the_model_also_one_that_cannot_be_used(part, models, clip, folder):
    menus, layout = part("panels.model_menus"), Layout()
    menus.draw_model(layout)
    use(folder)
    menus.draw_model(layout)
    damage(folder)
    bpy.ops.delta_strip.verify_model_folder(folder=str(folder))
    menus.draw_model(layout)
    assert layout.texts == ["Delta Strip demo", "Mine", "Mine"]
    assert layout.icons[-3:] == ["NONE", "NONE", "ERROR"]


def test_diagnostics_name_the_model(part, models, scene, folder):
    use(folder)
    assert "Mine (text_to_video)" in part("operators.diagnostics").diagnostics()
    shutil.rmtree(folder)
    assert "is not there" in part("operators.diagnostics").diagnostics()


def test_a_look_that_is_dropped_changes_nothing(part, models, folder, monkeypatch):
    library, look = part("engine.model_library"), part("operators.model_look").Look()
    examine, ended = library.examine, threading.Event()

    def drop_and_examine(folder):
        look.drop()
        found = examine(folder)
        ended.set()
        return found

    monkeypatch.setattr(library, "examine", drop_and_examine)
    look.start(folder)
    assert ended.wait(10)
    time.sleep(0.1)
    assert models.known.library.entries == ()


def test_an_unexpected_error_becomes_the_folders_problem(part, models, folder, monkeypatch, capsys):
    def fail(_folder):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(part("engine.model_library"), "examine", fail)
    add(folder)
    assert "Something unexpected happened: RuntimeError: no such luck" in section(part)
    assert "no such luck" in capsys.readouterr().err


def test_asking_for_the_models_while_drawing_is_quick(part, models, clip, folder):
    use(folder)
    edit, fields = part("operators.edit"), part("operators.method_fields")
    scene = bpy.context.scene

    def draw() -> None:
        part("panels.model_menus").draw_model(Layout())
        edit.why_not(scene)
        fields.backbone_card()
        section(part)

    began = time.process_time()
    for _ in range(5):
        draw()
    assert (time.process_time() - began) / 5 < 0.02


def test_a_real_edit_is_made_with_a_model_of_ones_own(
    part, real_engine, models, scene, tmp_path, monkeypatch
):
    """The demo's weights under another name, with a smaller window and working size."""
    from tests.blender.pictures import write_sequence
    from tests.blender.timeline import add_images, select_only

    own = shutil.copytree(ROOT / "vendor/models/demo", tmp_path / "eigenes Modell")
    card = json.loads((own / "delta_strip.json").read_text(encoding="utf-8"))
    card |= {"id": "own", "title": "My own", "window_frames": 4, "working_pixels": 1024}
    (own / "delta_strip.json").write_text(json.dumps(card), encoding="utf-8")
    name = use(own)
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 4), start=1)
    select_only(scene, strip)
    scene.delta_strip.common_fields.steps = 2
    assert press_edit() == {"FINISHED"}
    folder = part("operators.jobs").queue.jobs[-1].folder
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["backbone"]["title"] == "My own"
    assert result["job"]["backbone"] == name
    assert result["working_width"] * result["working_height"] <= 2048
    assert MODULE in part("operators.edit").__name__
