# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip, its installation, registration, settings, and what is refused with a sentence."""

import operator
import subprocess
import sys
import threading
import tomllib
import warnings
import wave
import zipfile
from pathlib import Path

import bpy
import pytest

from tests.blender.conftest import MODULE, ROOT, extension_tool, our_classes
from tests.blender.pictures import write_sequence
from tests.blender.timeline import add_effect, add_images, add_movie, children, select_only

TOP_LEVEL = {
    "__init__.py",
    "blender_manifest.toml",
    "preferences.py",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "engine",
    "operators",
    "panels",
    "vendor",
}


def registered() -> set[str]:
    """Names of everything that Blender knows of ours: classes, properties, keys, drawing."""
    # dir(bpy.types) does not list classes of Python.
    names = {cls.__name__ for cls in our_classes() if hasattr(bpy.types, cls.__name__)}
    names |= {f"bpy.ops.delta_strip.{name}" for name in dir(bpy.ops.delta_strip)}
    strip = bpy.types.Strip if hasattr(bpy.types, "Strip") else bpy.types.Sequence
    for owner in (bpy.types.Scene, bpy.types.WindowManager, strip):
        found = [p.identifier for p in owner.bl_rna.properties if "delta_strip" in p.identifier]
        names |= {f"{owner.__name__}.{name}" for name in found}
    for keymap in bpy.context.window_manager.keyconfigs.addon.keymaps:
        for item in keymap.keymap_items:
            if item.idname.startswith("delta_strip."):
                names.add(f"{item.type} in {keymap.name}: {item.idname}")
    for kind in [getattr(bpy.types, name) for name in dir(bpy.types)]:
        for function in getattr(getattr(kind, "draw", None), "_draw_funcs", ()):
            if function.__module__.startswith(MODULE):
                names.add(f"{function.__qualname__} in {kind.__name__}")
    return names | {t.name for t in threading.enumerate() if t.name.startswith("delta-strip")}


def start_timers() -> list:
    """All timers of ours, begun as a window begins them; in background mode they never fire."""
    modules = {name: module for name, module in sys.modules.items() if name.startswith(MODULE)}
    names = ("jobs.poll", "recovery.scan", "results.refresh", "background_work.tick")
    names += ("recovery.look.timer", "results.look.timer")
    functions = []
    for module, _, function in (name.partition(".") for name in names):
        find = operator.attrgetter(function)
        functions.append(find(modules[f"{MODULE}.operators.{module}"]))
        bpy.app.timers.register(functions[-1], first_interval=100, persistent=True)
    return functions


def handler_count() -> int:
    return sum(
        getattr(function, "__module__", "").startswith(MODULE)
        for name in dir(bpy.app.handlers)
        if isinstance(functions := getattr(bpy.app.handlers, name), list)
        for function in functions
    )


def test_the_zip_holds_what_the_manifest_leaves_in_and_nothing_else(extension_zip):
    with zipfile.ZipFile(extension_zip) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} <= TOP_LEVEL
    assert {"__init__.py", "engine/job.py", "operators/render_script.py", "LICENSE"} <= set(names)
    tracked = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("the source is not a git checkout")
    files = {name for name in tracked.stdout.split("\n") if name.split("/")[0] in TOP_LEVEL}
    assert {name for name in names if not name.endswith("/")} == files


def test_the_zip_is_valid_for_blenders_own_validator(extension_zip):
    result = extension_tool("validate", str(extension_zip))
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_installed_version_is_the_manifests():
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    from engine import __version__

    assert manifest["version"] == __version__


def test_enabling_and_disabling_twice_leaves_nothing_behind(extension):
    import addon_utils

    before, handlers = registered(), handler_count()
    assert {"Scene.delta_strip", "WindowManager.delta_strip_results"} <= before
    assert {"Strip.delta_strip", "Sequence.delta_strip"} & before
    assert "draw in STATUSBAR_HT_header" in before
    assert sum(" in " in name for name in before) >= 5  # keys and entries of menus
    assert handlers > 0
    for _ in range(2):
        timers = start_timers()
        addon_utils.disable(MODULE, default_set=True)
        assert registered() == set()
        assert handler_count() == 0
        assert not any(bpy.app.timers.is_registered(timer) for timer in timers)
        addon_utils.enable(MODULE, default_set=True)
        assert registered() == before
        assert handler_count() == handlers


# Processor time of the start in that of compiling 2,000 small functions, beside it in the same
# process: both suffer alike from other programs. On a quiet core 2 is about 50 ms.
MOST_OF_THE_REFERENCE = 2.0


def test_importing_and_registering_takes_about_50_ms_at_most_without_torch_or_numpy(
    extension, tmp_path
):
    script = (
        "import gc, os, sys, time, bpy\n"
        f"sys.path.insert(0, {str(Path(extension.__file__).parents[1])!r})\n"
        "line = 'def f%s(a, b): return [a + %s, b * a, (a, b)]'\n"
        "text = chr(10).join(line % (i, i) for i in range(100))\n"
        "def reference():\n"
        "    began = time.process_time()\n"
        "    for _ in range(20): compile(text, 'text', 'exec')\n"
        "    return time.process_time() - began\n"
        "before = set(sys.modules)\n"
        # A full collection of all that Blender made takes 30 ms and falls on anyone.
        "gc.collect(); gc.disable()\n"
        "first, began = reference(), time.process_time()\n"
        "import delta_strip; delta_strip.register()\n"
        "taken = time.process_time() - began\n"
        "print('SHARE', taken / min(first, reference()), flush=True)\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "os._exit(bool(new & {'torch', 'diffusers', 'numpy'}))\n"
    )
    environment = {"BLENDER_USER_RESOURCES": str(tmp_path), "PATH": "/usr/bin"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path / "cache")  # as on every start but the first
    shares = []
    for _ in range(6):
        result = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        shares.append(float(result.stdout.split("SHARE")[1].split()[0]))
    assert min(shares) < MOST_OF_THE_REFERENCE


def test_a_job_holds_the_panels_settings(part, scene, tmp_path):
    settings, export = part("operators.settings"), part("operators.source_export")
    strips = part("operators.strips")
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 3))
    add_images(scene.sequence_editor, write_sequence(tmp_path / "m", 3), channel=2, name="mask")
    values = scene.delta_strip
    values.mask_strip = "mask"
    values.mask_channel, values.use_invert_mask, values.feather_px = "alpha", True, 2.5
    values.strength, values.seed = 0.8, 7
    plan = export.plan_export(
        strips.find_named(scene, "images"), part("operators.mask_choice").mask_place(scene)
    )
    computer = settings.Computer(device="cpu", threads=3)
    prompts = (values.source_prompt, values.target_prompt)
    job = settings.to_job(values, plan, fps=(24, 1), computer=computer, prompts=prompts)
    assert (job.source_prompt, job.target_prompt) == ("a red ball", "a blue ball")
    assert (job.settings.strength, job.seed, job.threads, job.device) == (0.8, 7, 3, "cpu")
    assert (job.mask.channel, job.mask.invert, job.mask.feather_px) == ("alpha", True, 2.5)
    assert job.frame_count == 3
    dumps, parse = part("engine.schema").dumps, part("engine.job").parse_job
    assert parse(dumps(job)) == job


def test_a_renamed_mask_strip_is_still_the_mask(part, scene, tmp_path):
    mask = add_images(scene.sequence_editor, write_sequence(tmp_path / "m", 1), name="mask")
    scene.delta_strip.mask_strip = "mask"
    mask.name = "renamed"
    assert part("operators.mask_choice").mask_place(scene).strip == mask


def test_a_frame_rate_of_23_976_is_exact(part, scene):
    scene.render.fps, scene.render.fps_base = 24, 1.001
    assert part("operators.strips").frame_rate(scene) == (24000, 1001)


def test_duplicated_strips_get_a_uuid_of_their_own(part, scene, tmp_path):
    strips = part("operators.strips")
    first = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 1), name="a")
    key = strips.mark(first)
    second = add_images(scene.sequence_editor, [tmp_path / "in/0001.png"], channel=2, name="b")
    second[strips.UUID_KEY], second["delta_strip_name"] = key, "a"  # what duplicating copies
    strips.settle(bpy.data.scenes)
    assert strips.find([scene], key).strip == first
    assert second[strips.UUID_KEY] not in ("", key)


def add_sound(scene, path: Path) -> None:
    if not bpy.app.build_options.audaspace:
        pytest.skip("this bpy wheel was built without sound")
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    children(scene.sequence_editor).new_sound("sound", str(path), 1, 1)


@pytest.fixture
def refused(scene):
    """Press Edit in background mode, and give back what is said."""

    def press() -> str:
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.delta_strip.edit("EXEC_DEFAULT")
        assert not list(Path(bpy.path.abspath("//")).glob("delta_strip"))
        return str(caught.value)

    return press


@pytest.fixture(autouse=True)
def engine_python(monkeypatch):
    monkeypatch.setenv("DELTA_STRIP_PYTHON", sys.executable)


def test_no_selected_strip_is_refused(refused):
    assert "No strip is selected" in refused()


def test_a_sound_strip_is_refused(refused, scene, tmp_path):
    add_sound(scene, tmp_path / "s.wav")
    assert "a sound strip has no picture" in refused()


def test_a_sound_selected_beside_its_picture_is_left_alone(part, scene, tmp_path):
    add_sound(scene, tmp_path / "s.wav")
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 2), channel=2)
    assert [p.strip.name for p in part("operators.edit").editable(scene)] == ["images"]


def test_an_adjustment_layer_is_refused(refused, scene):
    add_effect(scene.sequence_editor, "ADJUSTMENT", channel=1)
    assert "no picture of its own" in refused()


def test_a_missing_file_is_named(refused, scene, tmp_path):
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 3))
    (tmp_path / "in/0002.png").unlink()
    assert "0002.png is not there" in refused()


def test_a_missing_movie_inside_a_meta_strip_is_named(refused, scene, tmp_path, movie):
    copy = tmp_path / "gone.mkv"
    copy.write_bytes(movie.read_bytes())
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=2, frame_start=1)
    add_movie(scene.sequence_editor, copy).move_to_meta(meta)
    copy.unlink()
    assert "gone.mkv is not there" in refused()


@pytest.mark.parametrize("name", ["source", "target"])
def test_an_empty_prompt_is_refused(refused, scene, tmp_path, name):
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 1))
    setattr(scene.delta_strip, f"{name}_prompt", "  ")
    assert f"The {name} prompt is empty" in refused()


@pytest.mark.parametrize("what", ["strip", "channel"])
def test_a_locked_strip_or_channel_is_refused(refused, scene, tmp_path, what):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 1))
    if what == "strip":
        strip.lock = True
    else:
        scene.sequence_editor.channels[1].lock = True
    assert "is locked" in refused()


def test_a_mask_strip_that_is_gone_is_refused(refused, scene, tmp_path):
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 1))
    scene.delta_strip.mask_strip = "nowhere"
    assert "There is no mask strip “nowhere”" in refused()


def test_a_missing_engine_is_refused_before_anything_is_written(
    refused, scene, tmp_path, monkeypatch
):
    monkeypatch.delenv("DELTA_STRIP_PYTHON")
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 1))
    assert "The engine is not installed" in refused()
    assert not (tmp_path / "Ergebnisse mit Leerzeichen").exists()


def test_nothing_deprecated_is_used(part, scene, tmp_path, movie):
    strips, edit = part("operators.strips"), part("operators.edit")
    strip = add_movie(scene.sequence_editor, movie)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        place = strips.find_named(scene, strip.name)
        part("operators.source_export").plan_export(place)
        assert edit.why_not(scene) == ""
        strips.selected(scene)
        strips.free_channel(scene.sequence_editor, 1, 1, 10)
        part("panels.edit_panel").selection_line(scene)
    assert [str(w.message) for w in caught] == []


def test_results_go_beside_a_saved_file_and_never_into_the_extension(part, scene, tmp_path):
    preferences = part("preferences")
    preferences.get_preferences().output_folder = ""
    assert preferences.jobs_root(str(tmp_path / "film.blend")) == tmp_path / "delta_strip"
    assert not preferences.jobs_root("").is_relative_to(preferences.EXTENSION_ROOT)


def test_the_selection_line_counts_strips_and_frames(part, scene, tmp_path, movie):
    line = part("panels.edit_panel").selection_line
    assert line(scene) == "No strip is selected"
    strip = add_movie(scene.sequence_editor, movie)
    add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 3), channel=2)
    assert line(scene) == "2 strips · 27 frames · 64×48 → 80×64 px"
    select_only(scene, strip)
    assert line(scene) == "1 strip · 24 frames · 64×48 → 80×64 px"
