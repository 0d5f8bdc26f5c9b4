# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's environment: made from hashed locks, verified, repaired. No network, no torch."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import quote, unquote

import pytest

from engine import environment_build, environment_place, environment_setup
from engine.child_process import clean_environment, run_lines
from engine.environment import (
    MARKER,
    EnvironmentSpec,
    lock_digests,
    locked_names,
    python_of,
    verify,
)
from engine.environment_build import remove
from engine.environment_packages import installed_packages, site_packages
from engine.environment_setup import choose_flavour, run_setup, save_packages
from engine.errors import EXIT_DONE, EXIT_FAILED, CancelledError, EnvironmentSetupError


def succeed(_python, _on_line, _cancel) -> str:
    """Instead of a tiny edit, which the stand-ins of torch and diffusers cannot do."""
    return "The engine works."


create = partial(environment_build.create, self_test=succeed)
repair = partial(environment_build.repair, self_test=succeed)

CHECKOUT = Path(__file__).resolve().parents[2]


def build_wheel(folder: Path, name: str, version: str, source: str) -> str:
    """Write a wheel with one module by hand; return its sha256."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-tool = {name}:main\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def write_locks(locks: Path, wheels: Path) -> None:
    """Locks for tiny stand-ins of torch and diffusers."""
    locks.mkdir()
    wheels.mkdir()
    module = "__version__ = {!r}\n\n\ndef main():\n    print(__file__)\n"
    torch = build_wheel(wheels, "torch", "2.13.0+cpu", module.format("2.13.0+cpu"))
    diffusers = build_wheel(wheels, "diffusers", "0.42.1", module.format("0.42.1"))
    (locks / "common.txt").write_text(f"diffusers==0.42.1 --hash=sha256:{diffusers}\n")
    (locks / "torch-cpu.txt").write_text(f"torch==2.13.0+cpu --hash=sha256:{torch}\n")
    (locks / "torch-cuda.txt").write_text(f"torch==2.13.0 --hash=sha256:{torch}\n")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """An environment made once, with its locks; tests work on copies."""
    folder = tmp_path_factory.mktemp("pristine")
    write_locks(folder / "locks", folder / "wheels")
    with pytest.MonkeyPatch.context() as patch:
        use_wheels(patch, folder / "wheels")
        spec = EnvironmentSpec(folder / "env", folder / "locks", "cpu", Path(sys.executable))
        lines: list[str] = []
        state = create(spec, on_line=lines.append)
    return SimpleNamespace(folder=folder, state=state, lines=lines)


def use_wheels(patch, wheels: Path) -> None:
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_NO_CACHE_DIR", "1")
    patch.setenv("PIP_FIND_LINKS", str(wheels))
    patch.delenv("PIP_CERT", raising=False)


@pytest.fixture
def spec(pristine, tmp_path, monkeypatch):
    """A working environment of this test's own."""
    for name in ("locks", "wheels", "env"):
        shutil.copytree(pristine.folder / name, tmp_path / name, symlinks=True)
    use_wheels(monkeypatch, tmp_path / "wheels")
    return EnvironmentSpec(tmp_path / "env", tmp_path / "locks", "cpu", Path(sys.executable))


def ignore(line: str) -> None:
    """A receiver for lines that a test does not read."""


def dist_info(root: Path, name: str) -> Path:
    packages = site_packages(root)
    assert packages is not None
    return next(packages.glob(f"{name}-*.dist-info"))


def test_a_new_environment_is_ready_and_says_what_it_did(pristine):
    assert pristine.state.is_ready, pristine.state
    assert pristine.state.flavour == "cpu"
    assert pristine.state.python_version == ".".join(map(str, sys.version_info[:3]))
    assert len(pristine.state.fingerprint) == 16
    assert "torch 2.13.0+cpu diffusers 0.42.1" in pristine.lines
    assert any(line.startswith("Successfully installed") for line in pristine.lines)


def test_scripts_of_a_new_environment_name_its_final_folder(pristine):
    root = pristine.folder / "env"
    script = python_of(root).with_name("torch-tool")
    result = subprocess.run([script], capture_output=True, text=True, check=True)
    assert Path(result.stdout.strip()).is_relative_to(root)
    pip = subprocess.run(
        [python_of(root), "-m", "pip", "--version"], capture_output=True, text=True
    )
    assert str(root) in pip.stdout


def test_nothing_but_the_environment_and_its_lock_is_left_behind(pristine):
    assert sorted(path.name for path in pristine.folder.iterdir()) == [
        "env",
        "env.setup",
        "locks",
        "wheels",
    ]
    assert [path.name for path in (pristine.folder / "env.setup").iterdir()] == ["lock"]


def test_no_folder_is_missing_and_a_folder_without_marker_is_damaged(spec):
    assert verify(spec.root / "nowhere", spec.locks).status == "missing"
    (spec.root / MARKER).unlink()
    state = verify(spec.root, spec.locks)
    assert state.status == "damaged"
    assert state.problems == ("The installation was not finished.",)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "locks": 3}'])
def test_an_unreadable_marker_is_damaged_and_never_an_exception(spec, text):
    (spec.root / MARKER).write_text(text)
    assert verify(spec.root, spec.locks).status == "damaged"


def test_a_changed_lock_makes_it_outdated_and_names_the_file(spec):
    with (spec.locks / "common.txt").open("a") as stream:
        stream.write("tqdm==1.0 --hash=sha256:0\n")
    state = verify(spec.root, spec.locks)
    assert state.status == "outdated"
    assert state.problems == ("It was made from another common.txt.",)


def test_comments_and_line_ends_of_a_lock_do_not_make_it_outdated(spec):
    lock = spec.locks / "common.txt"
    lock.write_bytes(b"# a comment\r\n" + lock.read_bytes().replace(b"\n", b"\r\n"))
    assert verify(spec.root, spec.locks).is_ready


def test_a_lost_dist_info_is_damaged_by_name_and_repaired_in_place(spec):
    extra = dist_info(spec.root, "pip").with_name("extra-1.0.dist-info")
    extra.mkdir()
    shutil.rmtree(dist_info(spec.root, "torch"))
    state = verify(spec.root, spec.locks)
    assert state.status == "damaged"
    assert state.damaged_packages == ("torch",)
    assert state.problems == ("torch 2.13.0+cpu is missing.",)
    assert repair(spec, on_line=ignore).is_ready
    assert extra.is_dir(), "a repair in place keeps packages that the locks do not name"


def test_another_version_of_a_locked_package_is_named_with_both_versions(spec):
    folder = dist_info(spec.root, "diffusers")
    folder.rename(folder.with_name("diffusers-0.1.0.dist-info"))
    state = verify(spec.root, spec.locks)
    assert state.problems == ("diffusers is 0.1.0 instead of 0.42.1.",)


def test_a_deleted_module_is_found_by_a_deep_look_and_repaired(spec):
    module = dist_info(spec.root, "torch").with_name("torch") / "__init__.py"
    module.unlink()
    assert verify(spec.root, spec.locks).is_ready
    state = verify(spec.root, spec.locks, is_deep=True)
    assert state.problems == ("torch 2.13.0+cpu has 1 damaged files, first torch/__init__.py.",)
    assert repair(spec, on_line=ignore).is_ready
    assert verify(spec.root, spec.locks, is_deep=True).is_ready
    assert module.is_file()


def test_an_interpreter_that_was_uninstalled_is_damaged(spec):
    python = python_of(spec.root)
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    state = verify(spec.root, spec.locks)
    assert state.status == "damaged"
    assert "is gone" in state.problems[0]


def test_packages_that_the_locks_do_not_name_are_allowed(spec):
    extra = dist_info(spec.root, "torch").with_name("my_tool-1.0.dist-info")
    extra.mkdir()
    (extra / "METADATA").touch()
    (extra / "RECORD").touch()
    assert installed_packages(spec.root)["my-tool"] == "1.0"
    assert verify(spec.root, spec.locks, is_deep=True).is_ready


def test_repairing_a_whole_environment_does_nothing(spec, monkeypatch):
    monkeypatch.setattr(environment_build, "run_lines", pytest.fail)
    assert repair(spec, on_line=ignore).is_ready


def test_a_tampered_package_is_refused_and_the_old_environment_keeps_working(spec):
    before = (spec.root / MARKER).read_bytes()
    module = "__version__ = 'evil'\n"
    build_wheel(Path(os.environ["PIP_FIND_LINKS"]), "diffusers", "0.42.1", module)
    with pytest.raises(EnvironmentSetupError) as caught:
        create(spec, on_line=ignore)
    assert "DO NOT MATCH THE HASHES" in caught.value.message
    assert "not the one that was locked" in caught.value.hint
    assert (spec.root / MARKER).read_bytes() == before
    assert verify(spec.root, spec.locks, is_deep=True).is_ready
    assert [path.name for path in (spec.root.parent / "env.setup").iterdir()] == ["lock"]


def test_cancelling_ends_the_installation_at_once_and_keeps_the_old_environment(spec):
    cancel = threading.Event()

    def cancel_when_it_runs(line: str) -> None:
        if line.startswith("Making"):
            cancel.set()

    with pytest.raises(CancelledError):
        create(spec, on_line=cancel_when_it_runs, cancel=cancel)
    assert verify(spec.root, spec.locks, is_deep=True).is_ready


def test_a_silent_program_is_ended_within_two_seconds_of_a_cancel(tmp_path):
    cancel = threading.Event()
    command = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]
    started = time.monotonic()
    with pytest.raises(CancelledError):
        run_lines(command, on_line=lambda _: cancel.set(), cwd=tmp_path, cancel=cancel)
    assert time.monotonic() - started < 2


def test_too_little_disk_space_is_said_before_anything_is_written(spec, tmp_path, monkeypatch):
    usage = SimpleNamespace(total=10**12, used=0, free=700_000_000)
    monkeypatch.setattr(environment_place.shutil, "disk_usage", lambda _: usage)
    fresh = EnvironmentSpec(tmp_path / "fresh", spec.locks, "cpu", spec.python)
    with pytest.raises(EnvironmentSetupError, match=r"0\.7 GB free; the cpu engine needs 2\.0 GB"):
        create(fresh, on_line=ignore)
    assert not fresh.root.exists()


def test_a_crash_between_the_two_renames_is_put_right_by_the_next_setup(spec, monkeypatch):
    aside = spec.root.parent / "env.setup" / "old"
    aside.parent.mkdir()
    spec.root.rename(aside)
    monkeypatch.setattr(
        environment_build, "require_space", lambda *_: pytest.fail("stop here", pytrace=False)
    )
    with contextlib.suppress(pytest.fail.Exception):
        create(spec, on_line=ignore)
    assert verify(spec.root, spec.locks).is_ready


def test_a_new_engine_whose_test_edit_fails_never_takes_the_old_ones_place(spec):
    before = (spec.root / MARKER).read_bytes()

    def fail(python, _on_line, _cancel):
        assert python.is_file()
        assert not python.is_relative_to(spec.root), "the new one is tried where it was built"
        raise EnvironmentSetupError("The engine's test edit failed: no kernel image.")

    with pytest.raises(EnvironmentSetupError, match="no kernel image"):
        create(spec, on_line=ignore, self_test=fail)
    assert (spec.root / MARKER).read_bytes() == before
    assert verify(spec.root, spec.locks, is_deep=True).is_ready
    assert [path.name for path in (spec.root.parent / "env.setup").iterdir()] == ["lock"]


def test_the_state_knows_packages_and_size(spec, pristine):
    state = verify(spec.root, spec.locks)
    assert dict(state.packages) == {"diffusers": "0.42.1", "torch": "2.13.0+cpu"}
    files = [path for path in (pristine.folder / "env").rglob("*") if path.is_file()]
    size = sum(path.lstat().st_size for path in files if path.name != MARKER)
    assert state.bytes == pytest.approx(size, rel=0.01)


def test_packages_from_a_folder_need_no_index_and_no_setting_of_pip(spec, monkeypatch, tmp_path):
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    fresh = replace(spec, root=tmp_path / "fresh", wheels=tmp_path / "wheels")
    assert choose_flavour(fresh, on_line=ignore)[0] == "cpu"
    assert create(fresh, on_line=ignore).is_ready


def test_a_folder_that_lacks_a_package_is_named_and_leaves_the_old_environment(
    spec, monkeypatch, tmp_path
):
    monkeypatch.delenv("PIP_FIND_LINKS")
    wheels = tmp_path / "some wheels"
    wheels.mkdir()
    shutil.copy(next((tmp_path / "wheels").glob("torch*")), wheels)
    with pytest.raises(EnvironmentSetupError) as caught:
        create(replace(spec, wheels=wheels), on_line=ignore)
    assert "diffusers" in caught.value.message
    assert "some wheels lacks that package" in caught.value.hint
    assert verify(spec.root, spec.locks, is_deep=True).is_ready


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index on loopback; counts what is fetched, and can be without torch."""

    wheels = Path()
    fetched: ClassVar[list[str]] = []
    lacks_torch = True

    def do_GET(self) -> None:
        name = self.path.rstrip("/").rpartition("/")[2]
        if self.lacks_torch and "torch" in name:
            self.send_error(404)
            return
        if name.endswith(".whl"):
            self.fetched.append(name.partition("-")[0])
            body, kind = (self.wheels / unquote(name)).read_bytes(), "application/zip"
        else:
            links = (
                f'<a href="/files/{quote(w.name)}">{w.name}</a>' for w in self.wheels.iterdir()
            )
            body, kind = "".join(links).encode(), "text/html"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=365000000, immutable")  # as real indexes do
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        """Say nothing."""


def test_after_an_interruption_no_package_is_downloaded_twice(spec, monkeypatch, tmp_path):
    monkeypatch.setattr(Index, "wheels", tmp_path / "wheels")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_NO_CACHE_DIR"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        monkeypatch.setenv("PIP_TRUSTED_HOST", "127.0.0.1")  # pip caches what it trusts
        monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("PIP_RETRIES", "0")
        fresh = replace(spec, root=tmp_path / "fresh")
        with pytest.raises(EnvironmentSetupError, match="torch"):
            create(fresh, on_line=ignore)
        assert Index.fetched == ["diffusers"]
        monkeypatch.setattr(Index, "lacks_torch", False)
        assert create(fresh, on_line=ignore).is_ready
        server.shutdown()
    assert Index.fetched == ["diffusers", "torch"]


def test_saved_packages_are_all_that_another_computer_needs(spec, monkeypatch, tmp_path):
    lines: list[str] = []
    folder = tmp_path / "to carry"
    save_packages(spec, folder, on_line=lines.append)
    assert "to carry holds the engine's packages" in lines[-1]
    monkeypatch.delenv("PIP_FIND_LINKS")
    fresh = replace(spec, root=tmp_path / "fresh", wheels=folder)
    assert create(fresh, on_line=ignore).is_ready


def test_a_folder_without_packages_is_refused_at_once(spec, tmp_path):
    with pytest.raises(EnvironmentSetupError, match="holds no packages"):
        replace(spec, wheels=tmp_path / "locks")


def test_removing_leaves_nothing_and_only_takes_what_setup_made(spec, tmp_path):
    other = tmp_path / "holiday pictures"
    other.mkdir()
    with pytest.raises(EnvironmentSetupError, match="is no environment of the engine"):
        remove(other)
    assert other.is_dir()
    remove(spec.root)
    assert verify(spec.root, spec.locks).status == "missing"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "holiday pictures",
        "locks",
        "wheels",
    ]
    remove(spec.root)  # again: nothing to do


def test_an_interrupted_setup_is_told_from_one_that_runs(spec):
    assert not environment_place.was_interrupted(spec.root)
    (spec.root.parent / "env.setup" / "new").mkdir(parents=True)
    assert environment_place.was_interrupted(spec.root)
    with environment_place.exclusive(spec.root):
        assert not environment_place.was_interrupted(spec.root)
    assert create(spec, on_line=ignore).is_ready
    assert not environment_place.was_interrupted(spec.root)


def test_two_setups_of_one_environment_do_not_run_at_once(spec):
    with environment_place.exclusive(spec.root), pytest.raises(EnvironmentSetupError) as caught:
        create(spec, on_line=ignore)
    assert "Another program is installing" in caught.value.message


@pytest.mark.parametrize(
    ("output", "status", "message", "hint"),
    [
        ('[[3, 10, 2], "/python"]', 0, "is Python 3.10.2; the engine needs 3.11 to 3.13", "range"),
        ('[[3, 14, 0], "/python"]', 0, "is Python 3.14.0; the engine needs 3.11 to 3.13", "range"),
        ("ModuleNotFoundError: No module named 'ensurepip'", 1, "ensurepip", "python3-venv"),
        ("Usage: true", 0, "is no Python: its answer is 'Usage: true'", "another Python"),
        ("Segmentation fault", 139, "status 139: Segmentation fault", "another Python"),
    ],
)
def test_an_unusable_python_is_refused_with_the_limit(
    spec, monkeypatch, output, status, message, hint
):
    def answer(*_, on_line, **__):
        on_line(output)
        return status

    monkeypatch.setattr(environment_build, "run_lines", answer)
    with pytest.raises(EnvironmentSetupError) as caught:
        create(spec, on_line=ignore)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_python_that_does_not_exist_is_named(spec, tmp_path):
    other = EnvironmentSpec(spec.root, spec.locks, "cpu", tmp_path / "no-python")
    with pytest.raises(EnvironmentSetupError, match="no-python cannot be started"):
        create(other, on_line=ignore)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"flavour": "rocm"}, "'rocm'; it must be one of"), ({"index_url": "ftp://x"}, "'ftp://x'")],
)
def test_a_wrong_setting_is_refused_with_its_value(spec, change, message):
    settings = {"flavour": "cpu", "index_url": ""} | change
    with pytest.raises(EnvironmentSetupError, match=message):
        EnvironmentSpec(spec.root, spec.locks, python=spec.python, **settings)


def test_missing_locks_are_named(spec):
    (spec.locks / "torch-cpu.txt").unlink()
    with pytest.raises(EnvironmentSetupError, match=r"torch-cpu\.txt does not exist"):
        create(spec, on_line=ignore)


def test_a_child_sees_none_of_the_parents_python_settings(monkeypatch, tmp_path):
    for name in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "PYTHONPYCACHEPREFIX"):
        monkeypatch.setenv(name, "/of/the/parent")
    monkeypatch.setenv("HTTPS_PROXY", "kept")
    variables = clean_environment({"EXTRA": "1"})
    assert "/of/the/parent" not in variables.values()
    assert (variables["PYTHONUTF8"], variables["HTTPS_PROXY"], variables["EXTRA"]) == (
        "1",
        "kept",
        "1",
    )
    lines: list[str] = []
    code = "print('Grüße'); raise SystemExit(7)"
    assert run_lines([sys.executable, "-c", code], on_line=lines.append, cwd=tmp_path) == 7
    assert lines == ["Grüße"]


def test_the_flavour_follows_the_driver_and_what_pip_can_find(spec, monkeypatch):
    monkeypatch.setattr(environment_setup, "has_nvidia_driver", lambda: True)
    assert choose_flavour(spec, on_line=ignore)[0] == "cuda"
    monkeypatch.setattr(environment_setup, "has_nvidia_driver", lambda: False)
    flavour, reason = choose_flavour(spec, on_line=ignore)
    assert (flavour, reason) == ("cpu", "No NVIDIA driver. CPU build, about 2 GB.")
    monkeypatch.setenv("PIP_FIND_LINKS", str(spec.locks))
    flavour, reason = choose_flavour(spec, on_line=ignore)
    assert flavour == "cuda"
    assert "There is no CPU build" in reason
    assert "8 GB" in reason


def test_the_setup_command_verifies_and_leaves_a_ready_environment_alone(spec):
    lines: list[str] = []
    common = {"root": spec.root, "locks": spec.locks, "python": spec.python, "flavour": "auto"}
    common["self_test"] = succeed
    assert run_setup(**common, print_line=lines.append) == EXIT_DONE
    assert lines == [f"{spec.root}: ready"]
    shutil.rmtree(dist_info(spec.root, "diffusers"))
    lines.clear()
    assert run_setup(**common, verify_only=True, print_line=lines.append) == EXIT_FAILED
    assert lines == [f"{spec.root}: damaged", "  diffusers 0.42.1 is missing."]
    assert run_setup(**common, must_repair=True, print_line=ignore) == EXIT_DONE


@pytest.mark.parametrize("flavour", ["cpu", "cuda"])
def test_the_projects_own_locks_are_hashed_and_name_no_machine(flavour):
    locks = CHECKOUT / "vendor" / "locks"
    assert set(lock_digests(locks, flavour)) == {"common.txt", f"torch-{flavour}.txt"}
    assert {"torch", "diffusers", "transformers", "av"} <= locked_names(locks, flavour)
    for file in (locks / "common.txt", locks / f"torch-{flavour}.txt"):
        text = file.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text
        requirements = [line for line in text.splitlines() if line[:1].isalpha()]
        assert requirements
        assert all(line.endswith("\\") for line in requirements), "each is followed by its hashes"
