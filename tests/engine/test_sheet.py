# SPDX-License-Identifier: GPL-3.0-or-later
"""The contact sheet shows the right frames, and what changed."""

import numpy as np
import pytest
from PIL import Image

from engine.errors import StorageError
from engine.video.sheet import ContactSheet

GREY = (128, 128, 128)


def clip(count, width=64, height=48, channels=3):
    return [np.full((height, width, channels), 10 + index, np.uint8) for index in range(count)]


def make(path, sources, edits, **values):
    with ContactSheet(path, len(sources), **values) as sheet:
        for index, (source, edited) in enumerate(zip(sources, edits, strict=True)):
            sheet.add(index, source, edited)
    return sheet


def test_the_frames_are_spread_from_the_first_to_the_last(tmp_path):
    assert ContactSheet(tmp_path / "a.png", 160).indices == (0, 23, 45, 68, 91, 114, 136, 159)
    assert ContactSheet(tmp_path / "a.png", 3).indices == (0, 1, 2)
    assert ContactSheet(tmp_path / "a.png", 1).indices == (0,)


def test_an_unchanged_clip_has_a_grey_difference(tmp_path):
    frames = clip(8)
    make(tmp_path / "compare.png", frames, frames)
    with Image.open(tmp_path / "compare.png") as sheet:
        colours = {colour: number for number, colour in sheet.getcolors(1 << 20)}
        assert sheet.width <= 1600
    # 195 px wide: 1600 px less the gaps, over 8; a few pixels of the letters are grey as well.
    assert 0 <= colours[GREY] - 8 * 195 * 146 < 100


def test_a_difference_is_shown_four_times_as_strong(tmp_path):
    sources = clip(1)
    edits = [sources[0] + np.array([5, 0, 0], np.uint8)]
    edits[0][:24] = 255
    make(tmp_path / "compare.png", sources, edits)
    with Image.open(tmp_path / "compare.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(1 << 20)}
    assert (148, 128, 128) in colours
    assert (255, 255, 255) in colours


@pytest.mark.parametrize("size", [(853, 477), (9, 16), (64, 64), (1, 1)])
@pytest.mark.parametrize("channels", [3, 4])
def test_any_size_and_alpha_work(tmp_path, size, channels):
    frames = clip(2, *size, channels)
    make(tmp_path / "compare.png", frames, frames)
    with Image.open(tmp_path / "compare.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.width <= 1600


def test_an_error_in_the_middle_leaves_no_sheet(tmp_path):
    def fail():
        with ContactSheet(tmp_path / "compare.png", 2) as sheet:
            sheet.add(0, clip(1)[0], clip(1)[0])
            raise KeyError("from outside")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        make(tmp_path / "gone" / "compare.png", clip(1), clip(1))
