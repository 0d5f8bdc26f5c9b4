# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlives an upgrade of Blender: the list of models, places of jobs, times of edits."""

import threading

import bpy
import pytest

SERIES = ".".join(map(str, bpy.app.version[:2]))


@pytest.fixture
def home(tmp_path, part, monkeypatch):
    """A user's folder of Blender, with one of the extension's own for this series."""
    own = tmp_path / "blender" / SERIES / "extensions" / ".user" / "delta_strip"
    own.mkdir(parents=True)
    monkeypatch.setattr(
        bpy.utils, "resource_path", lambda _kind: str(tmp_path / "blender" / SERIES)
    )
    monkeypatch.setattr(part("preferences"), "user_folder", lambda: own)
    return own


def test_the_folder_is_beside_those_of_the_single_series(home, tmp_path, part, monkeypatch):
    shared = part("operators.shared_files")
    assert shared.shared_folder() == tmp_path / "blender" / "delta_strip"
    moved = tmp_path / "my resources"
    monkeypatch.setattr(bpy.utils, "resource_path", lambda _kind: str(moved))
    assert shared.shared_folder() == moved / "delta_strip"


def test_what_the_series_kept_for_itself_is_taken_over_once(home, part):
    shared = part("operators.shared_files")
    (home / "list.json").write_text("old", encoding="utf-8")
    path = shared.shared_file("list.json")
    assert path.read_text(encoding="utf-8") == "old"
    path.write_text("new", encoding="utf-8")
    assert shared.shared_file("list.json").read_text(encoding="utf-8") == "new"
    assert (home / "list.json").read_text(encoding="utf-8") == "old"
    assert not shared.shared_file("other.json").exists()


def test_a_folder_that_cannot_be_made_is_no_reason_to_stop(home, tmp_path, part, capsys):
    (tmp_path / "blender" / "delta_strip").write_text("a file where the folder should be")
    (home / "list.json").write_text("old", encoding="utf-8")
    shared = part("operators.shared_files")
    assert not shared.shared_file("list.json").is_file()
    assert "Delta Strip: " in capsys.readouterr().out


def test_a_model_that_one_series_knows_is_known_to_the_next(home, tmp_path, part, monkeypatch):
    choice, library = part("operators.model_choice"), part("engine.model_library")
    entry = library.ModelEntry(folder=str(tmp_path / "model"))
    choice.known.change(lambda known: known.with_entry(entry), choice.library_file())
    next_series = str(tmp_path / "blender" / "99.1")
    monkeypatch.setattr(bpy.utils, "resource_path", lambda _kind: next_series)
    choice.known.forget()
    assert choice.known.library.entries == (entry,)
    monkeypatch.undo()
    choice.known.forget()


def test_while_one_changes_a_file_another_waits_and_keeps_its_entry(home, part, tmp_path):
    recovery, shared = part("operators.recovery"), part("operators.shared_files")
    path = shared.shared_file("job_folders.txt")
    done = []

    def other():
        recovery.remember_root(tmp_path / "theirs")
        done.append(True)

    with shared.changing(path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.1)
        assert not done
        path.write_text(f"{tmp_path / 'mine'}\n", encoding="utf-8")
    thread.join()
    assert recovery.known_roots() == [tmp_path / "mine", tmp_path / "theirs"]
