# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension as users get it: built, validated, installed from the zip into a clean profile."""

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAS_BLENDER = importlib.util.find_spec("bpy") is not None
collect_ignore_glob = [] if HAS_BLENDER else ["test_*.py"]
MODULE = "bl_ext.user_default.delta_strip"
_profile = tempfile.TemporaryDirectory(prefix="delta-strip-profile-")

if HAS_BLENDER:
    os.environ["BLENDER_USER_RESOURCES"] = _profile.name  # read when bpy is imported
    sys.dont_write_bytecode = True  # the installed folder must stay as the zip made it
    import bpy

    from tests.blender.pictures import write_sequence
    from tests.blender.timeline import add_images, make_movie, select_only


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/blender" in item.path.as_posix():
            item.add_marker("blender")


def extension_tool(*arguments: str) -> subprocess.CompletedProcess:
    """Blender's own builder and validator of extensions."""
    scripts = Path(bpy.utils.system_resource("SCRIPTS"))
    tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    command = [sys.executable, str(tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("build") / "delta_strip.zip"
    built = extension_tool("build", "--source-dir", str(ROOT), "--output-filepath", str(path))
    assert built.returncode == 0, built.stdout + built.stderr
    return path


@pytest.fixture(scope="session", autouse=True)
def extension(extension_zip: Path) -> ModuleType:
    bpy.ops.extensions.package_install_files(
        filepath=str(extension_zip), repo="user_default", enable_on_install=True
    )
    return importlib.import_module(MODULE)


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory, extension: ModuleType) -> Path:
    """24 frames of noise, FFV1: every pixel known."""
    folder = tmp_path_factory.mktemp("média à l’essai")
    return make_movie(folder / "ein Film.mkv", write_sequence(folder / "frames", 24))


def our_classes() -> list[type]:
    """All classes that the extension registers with Blender, from its modules."""
    modules = [module for name, module in sys.modules.items() if name.startswith(MODULE)]
    return [cls for module in modules for cls in getattr(module, "CLASSES", ())]


@pytest.fixture
def part(extension: ModuleType):
    """Modules of the installed extension by name: part("operators.strips")."""
    return lambda name: importlib.import_module(f"{MODULE}.{name}")


@pytest.fixture
def scene(tmp_path: Path, part):
    """An empty, unsaved file with one scene, results in tmp_path, and an empty queue after."""
    # Before the file is read: then it is looked for jobs that earlier tests left.
    preferences = part("preferences").get_preferences()
    preferences.output_folder = str(tmp_path / "Ergebnisse mit Leerzeichen")
    (part("operators.shared_files").shared_folder() / "job_folders.txt").unlink(missing_ok=True)
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1
    scene.render.resolution_x, scene.render.resolution_y = 64, 48
    scene.sequence_editor_create()
    scene.delta_strip.source_prompt = "a red ball"
    scene.delta_strip.target_prompt = "a blue ball"
    yield scene
    part("operators.jobs").queue.shut_down()
    part("operators.recovery").found.clear()


@pytest.fixture
def fake(part, monkeypatch):
    """Use the fake engine in a scenario of its own."""
    client = part("engine.client")
    clean = part("engine.child_process").clean_environment
    monkeypatch.setenv("DELTA_STRIP_PYTHON", sys.executable)

    def use(scenario: str, **variables: str) -> None:
        command = [sys.executable, str(ROOT / "tests/fake_engine.py"), scenario]
        environment = clean({f"FAKE_ENGINE_{name}": value for name, value in variables.items()})
        monkeypatch.setattr(client, "engine_command", lambda *_: (command, environment))

    use("normal")
    return use


@pytest.fixture
def real_engine(part, monkeypatch) -> None:
    """Use the real engine with the demo backbone; skips where it is not installed."""
    python = os.environ.get("DELTA_STRIP_PYTHON") or str(ROOT / ".venv/bin/python")
    command, environment = part("engine.client").engine_command(
        Path(python), part("preferences").EXTENSION_ROOT
    )
    if not Path(python).exists():
        pytest.skip(f"no engine environment: {python} does not exist")
    probe = subprocess.run(
        [*command[: command.index("serve")], "probe"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"the engine does not work: {probe.stderr[-200:]}")
    monkeypatch.setenv("DELTA_STRIP_PYTHON", python)


@pytest.fixture
def clip(scene, tmp_path, fake):
    """Six pictures as an image strip, frames 10 to 15."""
    strip = add_images(
        scene.sequence_editor, write_sequence(tmp_path / "Bilder für ä", 6), start=10, name="clip"
    )
    select_only(scene, strip)
    return strip


@pytest.fixture
def queue(part, scene):
    return part("operators.jobs").queue
