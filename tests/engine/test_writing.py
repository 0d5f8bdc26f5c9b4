# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing frames and movies: exact, complete or not there."""

import errno
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine import atomic_file
from engine.errors import StorageError
from engine.video.frames import probe_movie
from engine.video.images import read_image
from engine.video.movies import decode_movie
from engine.video.writing import MovieWriter, write_frame

NTSC = Fraction(30000, 1001)


def noise(count, width, height, channels=3):
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (height, width, channels), np.uint8) for _ in range(count)]


def write(path, frames, codec, fps=NTSC):
    height, width = frames[0].shape[:2]
    with MovieWriter(path, fps, width, height, codec) as writer:
        for picture in frames:
            writer.write(picture)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(64, 48), (53, 47), (1, 1)])
def test_a_frame_is_read_back_as_it_was_written(tmp_path, channels, size):
    (picture,) = noise(1, *size, channels)
    write_frame(tmp_path / "000001.png", picture)
    assert np.array_equal(read_image(tmp_path / "000001.png"), picture)


def test_equal_frames_are_equal_files(tmp_path):
    (picture,) = noise(1, 64, 48)
    for name in ("a.png", "b.png"):
        write_frame(tmp_path / name, picture)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(64, 48), (53, 47), (1, 1)])
def test_ffv1_loses_nothing(tmp_path, channels, size):
    frames = noise(4, *size, channels)
    write(tmp_path / "clip.mkv", frames, "ffv1")
    info = probe_movie(tmp_path / "clip.mkv")
    assert (info.width, info.height, info.fps, info.frame_count) == (*size, NTSC, 4)
    assert np.array_equal(np.stack(list(decode_movie(tmp_path / "clip.mkv"))), np.stack(frames))


@pytest.mark.parametrize("count", [1, 5])
def test_h264_is_tagged_for_every_player(tmp_path, count):
    write(tmp_path / "clip.mp4", noise(count, 64, 48), "h264")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert stream.average_rate == NTSC
        assert context.pix_fmt == "yuv420p"
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1
        assert len(list(container.decode(video=0))) == count


@pytest.mark.parametrize("rgb", [(220, 40, 40), (40, 190, 60), (40, 70, 225), (250, 250, 250)])
def test_h264_keeps_colours(tmp_path, rgb):
    flat = np.full((48, 64, 3), rgb, np.uint8)
    write(tmp_path / "clip.mp4", [flat], "h264")
    (shown,) = decode_movie(tmp_path / "clip.mp4")
    assert np.abs(shown.astype(int) - flat).max() <= 3


def test_h264_repeats_the_rim_of_an_odd_size(tmp_path):
    picture = np.full((47, 53, 3), 200, np.uint8)
    write(tmp_path / "clip.mp4", [picture], "h264")
    (shown,) = decode_movie(tmp_path / "clip.mp4")
    assert shown.shape == (48, 54, 3)
    assert np.abs(shown.astype(int) - 200).max() <= 3


def test_h264_shows_alpha_over_black(tmp_path):
    picture = np.full((48, 64, 4), 200, np.uint8)
    picture[:, :32, 3] = 0
    picture[:, 32:, 3] = 255
    write(tmp_path / "clip.mp4", [picture], "h264")
    (shown,) = decode_movie(tmp_path / "clip.mp4")
    assert shown[:, :28].max() <= 8
    assert shown[:, 36:].min() >= 192


@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_an_error_in_the_middle_leaves_the_old_movie_and_nothing_else(tmp_path, codec):
    path = tmp_path / "clip.movie"
    path.write_bytes(b"old")

    def fail():
        with MovieWriter(path, NTSC, 64, 48, codec) as writer:
            writer.write(noise(1, 64, 48)[0])
            raise KeyError("from outside")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_frame_of_another_size_is_a_programming_error(tmp_path):
    with (
        pytest.raises(ValueError, match="frame of"),
        MovieWriter(tmp_path / "clip.mkv", NTSC, 64, 48, "ffv1") as writer,
    ):
        writer.write(noise(1, 32, 48)[0])


def test_a_movie_without_frames_is_no_file(tmp_path):
    with MovieWriter(tmp_path / "clip.mkv", NTSC, 64, 48, "ffv1"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_a_storage_error(tmp_path):
    gone = tmp_path / "gone"
    with pytest.raises(StorageError, match="cannot be written"):
        write_frame(gone / "000001.png", noise(1, 8, 8)[0])
    with pytest.raises(StorageError, match="cannot be written"):
        write(gone / "clip.mp4", noise(1, 8, 8), "h264")


def test_a_full_disk_keeps_the_frame_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "000001.png"
    old, new = noise(2, 16, 16)
    write_frame(path, old)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_frame(path, new)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == [path]
    assert np.array_equal(read_image(path), old)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_stops_a_movie_with_a_storage_error(tmp_path):
    path = tmp_path / "clip.mkv"
    atomic_file.part_path(path).symlink_to("/dev/full")
    with pytest.raises(StorageError, match="cannot be written"):
        write(path, noise(60, 128, 128), "ffv1")
    assert list(tmp_path.iterdir()) == []
