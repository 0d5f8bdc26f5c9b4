"""The second Blender that renders strips ends with the one that started it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest

from tests.blender.conftest import MODULE
from tests.blender.pictures import write_sequence
from tests.blender.timeline import add_images, trim

SCRIPT = """
import sys, os, time, bpy, addon_utils, importlib
from pathlib import Path
module, blend, folder = sys.argv[1:]
addon_utils.enable(module, default_set=True)
part = lambda name: importlib.import_module(module + "." + name)
bpy.ops.wm.open_mainfile(filepath=blend)
place = part("operators.strips").find_named(bpy.context.scene, "clip")
plan = part("operators.source_export").plan_export(place)
background_render = part("operators.background_render")
background_render.prepare(Path(folder), plan.renderings)
render = background_render.BackgroundRender(Path(folder))
while not render.done:
    render.poll()
    time.sleep(0.05)
print("PID", render._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # where there is one, it tells a zombie
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_second_blender_ends_when_the_first_is_killed(part, scene, tmp_path):
    paths = write_sequence(tmp_path / "in", 2)
    strip = add_images(scene.sequence_editor, paths, name="clip")
    strip.use_reverse_frames = True
    trim(strip, 1, 4000)
    scene.render.resolution_x, scene.render.resolution_y = 64, 48
    blend = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    folder = tmp_path / "job"
    folder.mkdir()
    killed = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, MODULE, str(blend), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -9, killed.stdout + killed.stderr
    pid = int(killed.stdout.split("PID")[1].split()[0])
    end = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(pid)
    assert not (folder / "source").exists()  # it was not merely finished


@pytest.mark.parametrize("moment", ["before", "after"])
def test_pictures_are_counted_once_while_their_folder_gets_its_name(
    part, tmp_path, monkeypatch, moment
):
    background_render = part("operators.background_render")
    (tmp_path / "source.part").mkdir()
    for number in range(3):
        (tmp_path / "source.part" / f"{number}.png").touch()
    request = {"renderings": [{"folder": "source", "first": 1, "last": 3}]}
    (tmp_path / background_render.REQUEST).write_text(json.dumps(request))
    monkeypatch.setattr(subprocess, "Popen", lambda *_arguments, **_options: None)
    render = background_render.BackgroundRender(tmp_path)
    assert render.done == 3
    look = Path.iterdir

    def renamed(folder):
        found = list(look(folder)) if moment == "after" else None
        if (tmp_path / "source.part").exists():
            (tmp_path / "source.part").rename(tmp_path / "source")
        return look(folder) if found is None else found

    monkeypatch.setattr(Path, "iterdir", renamed)
    assert render.done == 3
    assert not (tmp_path / "source.part").exists()
    assert render.done == 3
