"""Folders of jobs are remembered, whatever happens to them meanwhile."""

import pytest


def test_a_results_folder_that_is_away_for_a_while_is_not_forgotten(part, scene, tmp_path):
    recovery = part("operators.recovery")
    away, here = tmp_path / "unplugged drive", tmp_path / "here ä"
    recovery.remember_root(away)
    recovery.remember_root(here)
    recovery.remember_root(here)
    assert recovery.known_roots() == [away, here]


def test_a_list_of_folders_that_cannot_be_written_keeps_the_old_one(
    part, scene, tmp_path, monkeypatch
):
    recovery, atomic_file = part("operators.recovery"), part("engine.atomic_file")
    recovery.remember_root(tmp_path / "one")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file, "replace", full)
    with pytest.raises(part("engine.errors").StorageError, match="No space left"):
        recovery.remember_root(tmp_path / "two")
    assert recovery.known_roots() == [tmp_path / "one"]
