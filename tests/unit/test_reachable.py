# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be reached is not there, and raises nothing."""

from pathlib import Path

import pytest

from engine.errors import BackboneError
from engine.model_library import check_is_model
from engine.reachable import has_file, has_folder


def test_a_name_that_is_too_long_is_no_file_and_no_folder(tmp_path):
    path = tmp_path / ("x" * 300)
    assert not has_file(path)
    assert not has_folder(path)


def test_what_is_there_is_found(tmp_path):
    (tmp_path / "file").touch()
    assert has_file(tmp_path / "file")
    assert has_folder(tmp_path)
    assert not has_file(tmp_path)


def test_a_model_folder_that_cannot_be_reached_is_said_to_be_away():
    with pytest.raises(BackboneError, match="is not there"):
        check_is_model(Path("/") / ("x" * 300))
