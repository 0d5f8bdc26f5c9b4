# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a Blender: what is decided without starting one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools import blender_runtime
from tools.blender_runtime import NotAvailableError, Runtime


def fake_program(path: Path, text: str, status: int = 0) -> Path:
    """An executable that prints a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {status}\n")
    path.chmod(0o755)
    return path


def test_the_version_is_read_from_what_blender_prints():
    output = "warning: no display\nBlender 4.3.2\n\tbuild date: 2025-01-01\n"
    assert blender_runtime.parse_blender_version(output) == "4.3.2"
    assert blender_runtime.parse_blender_version("blender: command not found") is None
    assert blender_runtime.series_of("4.5.15") == "4.5"


def test_the_missing_library_is_read_from_the_import_error():
    output = "ImportError: libX11.so.6: cannot open shared object file: No such file or directory"
    assert blender_runtime.missing_library(output) == "libX11.so.6"
    assert blender_runtime.DEBIAN_PACKAGES["libX11.so.6"] == "libx11-6"
    assert blender_runtime.missing_library("ModuleNotFoundError: No module named 'bpy'") is None


def test_a_program_and_a_wheel_are_started_in_their_own_ways():
    program = Runtime("blender", "4.5.0", ["/opt/blender"])
    assert program.argv(Path("s.py"), "a") == [
        "/opt/blender",
        "--background",
        "--factory-startup",
        "--python-exit-code",
        "1",
        "--python",
        "s.py",
        "--",
        "a",
    ]
    assert Runtime("bpy", "4.5.0", ["python"]).argv(Path("s.py"), "a") == ["python", "s.py", "a"]


def test_a_run_is_cut_off_from_the_users_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("BLENDER_USER_RESOURCES", "/home/me/blender")
    variables = Runtime("bpy", "4.5.0", ["python"]).env(tmp_path)
    assert variables["BLENDER_USER_RESOURCES"] == str(tmp_path)
    assert "PYTHONPATH" not in variables


def test_an_installed_blender_that_is_named_and_new_enough_is_taken(tmp_path):
    program = fake_program(tmp_path / "blender", "Blender 4.2.1 LTS")
    runtime = blender_runtime.ensure(blender=str(program))
    assert (runtime.kind, runtime.version, runtime.command) == ("blender", "4.2.1", [str(program)])


@pytest.mark.parametrize(
    ("text", "reason"), [("Blender 3.4.1", "is Blender 3.4.1"), ("hello", "does not answer like")]
)
def test_a_named_program_that_cannot_serve_is_refused_with_the_limit(tmp_path, text, reason):
    program = fake_program(tmp_path / "blender", text)
    with pytest.raises(NotAvailableError, match=reason) as caught:
        blender_runtime.find_installed(str(program))
    assert "at least Blender 4.2 is needed" in str(caught.value)


def test_an_old_blender_on_the_path_is_passed_over(tmp_path, monkeypatch):
    fake_program(tmp_path / "blender", "Blender 3.4.1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert blender_runtime.find_installed(None) is None


def test_a_python_is_found_in_pyenv_before_its_shim_on_the_path(tmp_path, monkeypatch):
    inside = fake_program(tmp_path / "pyenv/versions/3.13.0/bin/python3.13", "3.13 /base/python")
    shim = fake_program(tmp_path / "shims/python3.13", "not selected", status=127)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    candidates = blender_runtime.python_candidates("3.13")
    assert candidates.index(inside) < candidates.index(shim)
    assert blender_runtime.find_python("3.13") == Path("/base/python")


def test_without_a_fitting_python_the_series_is_not_run_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.delenv("BLENDER", raising=False)
    monkeypatch.setattr(blender_runtime, "find_installed", lambda _: None)
    monkeypatch.setattr(blender_runtime, "python_candidates", lambda _: [])
    monkeypatch.setattr(blender_runtime, "BUILD", tmp_path)
    line = blender_runtime.report("5.2", None)
    assert line["status"] == "not run"
    assert "No Python 3.13 with venv was found" in str(line["reason"])
    with pytest.raises(NotAvailableError, match=r"no Python 3\.11 or 3\.13 was found"):
        blender_runtime.preferred_series()


def test_a_series_without_a_wheel_is_refused_with_the_ones_there_are():
    with pytest.raises(NotAvailableError, match=r"4\.4; there is 4\.2, 4\.5, 5\.0, 5\.2"):
        blender_runtime.ensure_wheel("4.4")


def test_all_reports_every_series_and_fails_only_when_none_is_ready(monkeypatch, capsys):
    def answer(series, blender):
        return {"series": series, "status": "ready" if series == "5.0" else "not run"}

    monkeypatch.setattr(blender_runtime, "report", answer)
    assert blender_runtime.main(["ensure", "--all"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["series"] for line in lines] == ["4.2", "4.5", "5.0", "5.2"]
    monkeypatch.setattr(blender_runtime, "report", lambda *_: {"status": "not run"})
    assert blender_runtime.main(["ensure", "--all"]) == 1


def test_a_missing_library_is_named_with_its_install_command_when_not_root(monkeypatch):
    monkeypatch.setattr(blender_runtime.os, "geteuid", lambda: 1000)
    with pytest.raises(NotAvailableError, match=r"sudo apt-get install .*libx11-6"):
        blender_runtime._provide("libX11.so.6")
    with pytest.raises(NotAvailableError, match=r"libodd\.so\.1: install its package"):
        blender_runtime._provide("libodd.so.1")


def test_every_series_has_a_hashed_lock_with_its_own_bpy():
    for series in blender_runtime.PYTHON_OF_SERIES:
        text = (blender_runtime.LOCKS / f"bpy-{series}.txt").read_text(encoding="utf-8")
        assert f"\nbpy=={series}." in text
        assert "\npytest==" in text
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_a_program_that_hangs_is_a_failure_not_a_wait():
    command = [sys.executable, "-c", "import time; time.sleep(30)"]
    status, output = blender_runtime._output(command, seconds=0.3)
    assert status == 124
    assert "did not answer" in output
