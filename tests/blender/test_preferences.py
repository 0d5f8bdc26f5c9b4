"""The preferences: installing the engine from a folder, what blocks what, cleaning, diagnostics."""

import os
import sys
import time
from functools import partial
from pathlib import Path

import bpy
import pytest

from tests.blender.timeline import select_only
from tests.unit.test_environment import write_locks


class Layout:
    """Takes every call that a drawing function makes, and keeps labels and buttons."""

    def __init__(self, said: list[str] | None = None) -> None:
        self.said = [] if said is None else said

    def __getattr__(self, name: str):
        if name in ("row", "column", "box", "split"):
            return lambda **_: Layout(self.said)
        if name in ("label", "progress"):
            return lambda text="", **_: self.said.append(text)
        if name == "operator":
            return self._operator
        return lambda *_, **__: None

    def _operator(self, name: str, **_):
        self.said.append(name)
        return Layout()

    @property
    def text(self) -> str:
        return " ".join(self.said)


@pytest.fixture
def task(part, scene, monkeypatch):
    """The setup's thread, without the environment variable that names an engine."""
    monkeypatch.delenv("DELTA_STRIP_PYTHON", raising=False)
    found = part("operators.setup_task")
    found.setup.__init__()
    yield found
    found.setup.cancel.set()
    wait(found.setup)
    found.setup.__init__()


@pytest.fixture
def own_engine(part, task, tmp_path, monkeypatch):
    """Preferences that ask for an environment in tmp_path, from tiny stand-in packages."""
    preferences = part("preferences")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # no other folder may have a torch
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    write_locks(tmp_path / "locks", tmp_path / "Pakete für ä")
    monkeypatch.setattr(preferences, "LOCKS", tmp_path / "locks")
    chosen = preferences.get_preferences()
    chosen.environment_folder = str(tmp_path / "engine")
    build = part("engine.environment_build")
    passed = partial(build.create, self_test=lambda *_: "The engine works.")
    monkeypatch.setattr(build, "create", passed)
    yield tmp_path / "engine"
    chosen.environment_folder = ""


def wait(setup, seconds: float = 240) -> None:
    setup.wait(seconds)
    assert not setup.is_running


def drawn(part, section: str) -> str:
    layout = Layout()
    part("preferences").sections[section](layout)
    return layout.text


def test_the_engine_is_installed_survives_a_failed_installation_and_is_removed(
    part, task, own_engine
):
    preferences = part("preferences")
    assert "not installed" in drawn(part, "engine")
    folder = own_engine.parent / "Pakete für ä"
    bpy.ops.delta_strip.install_engine_folder(directory=str(folder))
    with pytest.raises(part("engine.errors").EngineError, match="is being set up"):
        preferences.engine_python()
    assert "delta_strip.cancel_setup" in drawn(part, "engine")
    assert not bpy.ops.delta_strip.verify_engine.poll()
    wait(task.setup)
    assert task.setup.problem == ""
    assert preferences.engine_python().is_relative_to(own_engine)
    text = drawn(part, "engine")
    assert "torch 2.13.0+cpu, processor build" in text
    assert "has passed its test edit" in text
    log = part("operators.engine_setup").setup_log().read_text(encoding="utf-8")
    assert "Successfully installed" in log
    next(folder.glob("diffusers*")).unlink()
    bpy.ops.delta_strip.install_engine_folder(directory=str(folder))
    wait(task.setup)
    assert "diffusers" in task.setup.problem
    text = drawn(part, "engine")
    assert "lacks that package" in text
    assert "torch 2.13.0+cpu" in text, "the old engine is still there"
    assert preferences.engine_python().is_file()
    bpy.ops.delta_strip.remove_engine()
    wait(task.setup)
    assert not own_engine.exists()
    assert "The engine is not installed" in drawn(part, "engine")


def test_cancelling_is_no_error_and_is_kept_in_the_log(part, task, own_engine):
    bpy.ops.delta_strip.install_engine_folder(directory=str(own_engine.parent / "Pakete für ä"))
    bpy.ops.delta_strip.cancel_setup()
    wait(task.setup)
    assert task.setup.problem == ""
    assert "Cancelled" in drawn(part, "engine")
    assert not own_engine.exists()
    assert "Cancelled" in part("operators.engine_setup").setup_log().read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("[[3, 10, 2], null]", "is Python 3.10.2; the engine needs 3.11 to 3.13"),
        ("hello", "is no Python: its answer is 'hello'"),
        (None, "cannot be started"),
    ],
)
def test_the_engine_is_built_from_the_chosen_python_or_it_is_said_why_not(
    part, task, own_engine, tmp_path, answer, problem
):
    chosen = part("preferences").get_preferences()
    make_spec = part("operators.engine_setup").make_spec
    assert make_spec().python == Path(sys.executable)
    program = tmp_path / "a python"
    if answer is not None:
        program.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
        program.chmod(0o755)
    chosen.build_python = str(program)
    try:
        assert make_spec().python == program
        bpy.ops.delta_strip.install_engine_folder(directory=str(tmp_path / "Pakete für ä"))
        wait(task.setup)
    finally:
        chosen.build_python = ""
    assert f"a python {problem}" in task.setup.problem
    assert problem in drawn(part, "engine")
    assert not own_engine.exists()


def test_a_folder_without_packages_is_refused(part, task, own_engine, tmp_path):
    with pytest.raises(RuntimeError, match="holds no packages"):
        bpy.ops.delta_strip.install_engine_folder(directory=str(tmp_path / "locks"))
    assert not task.setup.was_started


def test_downloading_needs_online_access_and_a_folder_does_not(part, task):
    assert not bpy.app.online_access, "tests run without"
    assert not bpy.ops.delta_strip.install_engine.poll()
    assert not bpy.ops.delta_strip.repair_engine.poll()
    assert bpy.ops.delta_strip.install_engine_folder.poll()
    assert "can be installed from a folder" in drawn(part, "network")


def test_an_existing_python_that_cannot_run_the_engine_is_found_out(part, task, tmp_path):
    preferences = part("preferences").get_preferences()
    preferences.engine_source, preferences.existing_python = "existing", sys.executable
    try:
        assert "delta_strip.install_engine" not in drawn(part, "engine")
        bpy.ops.delta_strip.verify_engine()
        wait(task.setup)
        assert "test edit failed" in task.setup.problem
        assert "has no" in task.setup.problem
    finally:
        preferences.engine_source, preferences.existing_python = "managed", ""


def test_the_engine_is_not_changed_while_edits_wait_or_run(part, task, clip, queue, monkeypatch):
    monkeypatch.setenv("DELTA_STRIP_PYTHON", sys.executable)
    (job,) = part("operators.edit").edit_selection(bpy.context)
    assert not bpy.ops.delta_strip.install_engine_folder.poll()
    assert not bpy.ops.delta_strip.remove_engine.poll()
    queue.cancel(job)
    assert bpy.ops.delta_strip.install_engine_folder.poll()


def test_memory_and_idle_minutes_reach_the_engine(part, scene, queue, monkeypatch):
    monkeypatch.setenv("DELTA_STRIP_PYTHON", sys.executable)
    chosen = part("preferences").get_preferences()
    chosen.idle_minutes, chosen.memory = 3, "low"
    closed = []
    try:
        first = queue._ready_engine()
        assert first._argv[-4:] == ["--idle-minutes", "3", "--memory", "low"]
        assert queue._ready_engine() is first
        chosen.memory = "high"
        monkeypatch.setattr(first, "close", lambda *, must_wait: closed.append(must_wait))
        assert queue._ready_engine() is not first, "a changed preference takes a new engine"
        assert closed == [False], "Blender's timer does not wait for the end of the old one"
    finally:
        chosen.property_unset("idle_minutes")
        chosen.property_unset("memory")


def test_the_memory_preset_cpu_computes_on_the_processor_whatever_the_device(part, clip, queue):
    chosen = part("preferences").get_preferences()
    chosen.device, chosen.memory = "cuda", "cpu"
    try:
        assert bpy.ops.delta_strip.edit() == {"FINISHED"}
        assert queue.jobs[0].job.device == "cpu"
        assert part("preferences").worker_options().memory == "auto"
        assert part("operators.new_jobs").this_computer().device == "cpu"
        chosen.memory = "high"
        assert part("operators.new_jobs").this_computer().device == "cuda"
    finally:
        chosen.property_unset("device")
        chosen.property_unset("memory")


def ended_jobs(part, root: Path) -> list[Path]:
    """A failed and an imported job."""
    store, job = part("engine.job_store"), part("engine.job")
    edit = job.EditJob(
        source=part("engine.media").Media(path="/clip.mp4", kind="movie", frames=(0,)),
        fps=(24, 1),
        source_prompt="a",
        target_prompt="b",
        settings=job.EditSettings(),
    )
    failed, imported = (store.create(root, edit, name=name) for name in ("failed", "imported"))
    store.write_failure(failed, "numerical", "NaN.")
    for folder in (failed, imported):
        (folder / store.PLACEMENT).write_text("{}")
    for name in ("source/1.png", "frames/000001.png", "result.json", "imported"):
        (imported / name).parent.mkdir(exist_ok=True)
        (imported / name).write_bytes(bytes(1000))
    return [failed, imported]


def test_clean_removes_what_failed_and_keeps_results(part, scene):
    preferences, storage = part("preferences"), part("operators.storage").storage
    failed, imported = ended_jobs(part, preferences.jobs_root())
    bpy.ops.delta_strip.measure_results()
    storage.wait()
    assert "in 2 folders" in drawn(part, "results")
    bpy.ops.delta_strip.clean()
    storage.wait()
    assert not failed.exists()
    assert not (imported / "source").exists()
    assert (imported / "frames/000001.png").exists()
    assert "in 0 folders" in drawn(part, "results")
    assert not bpy.ops.delta_strip.clean.poll()


def test_the_cache_limit_is_kept_after_an_edit(part, clip, queue):
    preferences, storage = part("preferences"), part("operators.storage").storage
    failed, _ = ended_jobs(part, preferences.jobs_root())
    preferences.get_preferences().cache_limit_gb = 1e-9
    try:
        assert bpy.ops.delta_strip.edit() == {"FINISHED"}
        storage.wait()
        assert not failed.exists()
        (job,) = queue.jobs
        assert (job.folder / "frames/000001.png").exists()
    finally:
        preferences.get_preferences().property_unset("cache_limit_gb")


def test_diagnostics_name_versions_and_logs_and_no_user(part, scene, monkeypatch, tmp_path):
    log = part("operators.jobs").engine_log()
    log.write_text(f"Traceback in {Path.home()}/film.blend of testuser\n", encoding="utf-8")
    monkeypatch.setenv("LOGNAME", "testuser")
    text = part("operators.diagnostics").diagnostics()
    assert bpy.app.version_string in text
    assert "Delta Strip: " in text
    assert "Traceback in ~/film.blend of <user>" in text
    assert "testuser" not in text
    log.unlink()
    assert bpy.ops.delta_strip.copy_diagnostics() == {"FINISHED"}


def test_drawing_the_preferences_is_quick(part, scene, monkeypatch):
    monkeypatch.setenv("DELTA_STRIP_PYTHON", sys.executable)
    names = part("preferences").sections
    for name in names:
        drawn(part, name)
    part("operators.storage").storage.wait()
    began = time.perf_counter()
    for name in names:
        drawn(part, name)
    assert time.perf_counter() - began < 0.05


def test_a_strip_can_be_edited_while_nothing_is_set_up(part, task, clip, monkeypatch):
    monkeypatch.setenv("DELTA_STRIP_PYTHON", sys.executable)
    select_only(bpy.context.scene, clip)
    assert part("operators.edit").why_not(bpy.context.scene) == ""
    monkeypatch.setattr(task.setup, "_thread", type("T", (), {"is_alive": lambda _: True})())
    monkeypatch.setattr(task.setup, "changes_engine", True)
    assert part("operators.edit").why_not(bpy.context.scene) == "The engine is being set up."
    monkeypatch.setattr(task.setup, "_thread", None)


def test_an_unexpected_error_of_a_thread_is_shown(part, scene, monkeypatch, capsys):
    storage = part("operators.storage").storage

    def fail(_roots):
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(part("engine.job_cleaning"), "removable", fail)
    storage.look()
    storage.wait()
    assert storage.problem == "Something unexpected happened: ZeroDivisionError: a mistake"
    assert storage.problem in drawn(part, "results")
    assert "ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.undo()
    storage.look()
    storage.wait()
    assert storage.problem == ""
