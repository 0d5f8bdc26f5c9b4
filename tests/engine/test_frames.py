# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading clips: the right pixels, in the order of the frame map, or an error that helps."""

import gc
import shutil
import subprocess
import wave
from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from engine.errors import InvalidJobError, MediaError
from engine.media import Media
from engine.video.frames import probe_images, probe_movie, read_frames
from engine.video.writing import MovieWriter

NTSC = Fraction(30000, 1001)
FFMPEG = shutil.which("ffmpeg")


def pictures(count, width=64, height=48, channels=3):
    """Textures that move, no two alike."""
    random = np.random.default_rng(7)
    blocks = random.integers(0, 256, (height // 4 + 2, width // 4 + 2, channels), np.uint8)
    large = blocks.repeat(4, 0).repeat(4, 1)
    return [
        np.ascontiguousarray(np.roll(large, 3 * i, axis=1)[:height, :width]) for i in range(count)
    ]


def encode(path, frames, *, fps=NTSC, codec="libx264", pix_fmt="yuv420p", rotation=None,
           durations=None, options=None, movflags=None):  # fmt: skip
    container_options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        position = 0
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = position, 1 / fps
            position += durations[index] if durations else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def movie(path, frames):
    return Media(path=str(path), kind="movie", frames=tuple(frames))


def read(path, frames, job_dir=None):
    return list(read_frames(movie(path, frames), job_dir or path.parent))


def lossless(path, frames):
    height, width = frames[0].shape[:2]
    with MovieWriter(path, NTSC, width, height, "ffv1") as writer:
        for picture in frames:
            writer.write(picture)
    return path


MATERIAL = {
    "b_frames": {"options": {"bf": "3", "b_strategy": "0"}},
    "open_gop": {"options": {"x264-params": "open-gop=1:keyint=6:bframes=2"}},
    "variable_rate": {"durations": [1, 3, 2, 1, 5, 1, 2, 2, 1, 4, 1, 1]},
    "ten_bit": {"pix_fmt": "yuv420p10le"},
    "ten_bit_422": {"pix_fmt": "yuv422p10le"},
    "full_range": {"pix_fmt": "yuvj420p"},
    "odd_size": {"pix_fmt": "yuv444p", "width": 53, "height": 47},
    "quarter_turn": {"rotation": (90,)},
    "upside_down": {"rotation": (180,)},
    "turned_and_mirrored": {"rotation": (-90, True, False)},
}


def make(path, name):
    values = dict(MATERIAL[name])
    size = (values.pop("width", 64), values.pop("height", 48))
    return encode(path, pictures(12, *size), **values)


@pytest.mark.skipif(FFMPEG is None, reason="needs the ffmpeg program")
@pytest.mark.parametrize("name", MATERIAL)
def test_frames_equal_those_of_the_ffmpeg_program(tmp_path, name):
    path = make(tmp_path / "clip.mp4", name)
    run = subprocess.run(
        [FFMPEG, "-v", "error", "-i", path, "-fps_mode", "passthrough",
         "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    info = probe_movie(path)
    expected = np.frombuffer(run.stdout, np.uint8).reshape(-1, info.height, info.width, 3)
    assert info.frame_count == len(expected) == 12
    assert np.array_equal(np.stack(read(path, range(12))), expected)


@pytest.mark.parametrize("name", ["b_frames", "open_gop", "variable_rate", "full_range"])
def test_frames_equal_a_plain_sequential_decode(tmp_path, name):
    path = make(tmp_path / "clip.mp4", name)
    expected = list(iio.imiter(path, plugin="pyav"))
    assert probe_movie(path).frame_count == len(expected) == 12
    assert np.array_equal(np.stack(read(path, range(12))), np.stack(expected))


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_a_rotated_movie_is_read_as_it_is_shown(tmp_path, degrees, turns):
    frames = pictures(3)
    plain = read(encode(tmp_path / "plain.mp4", frames), range(3))
    path = encode(tmp_path / "turned.mp4", frames, rotation=(degrees,))
    info = probe_movie(path)
    assert (info.width, info.height) == ((48, 64) if turns % 2 else (64, 48))
    for turned, upright in zip(read(path, range(3)), plain, strict=True):
        assert np.array_equal(turned, np.rot90(upright, turns))


def test_a_slanted_movie_is_refused(tmp_path):
    path = encode(tmp_path / "slanted.mp4", pictures(2), rotation=(30,))
    with pytest.raises(MediaError, match="90°"):
        read(path, [0])


@pytest.mark.parametrize(
    "frames",
    [(0, 1, 2), (2, 2, 2, 5), (7,), (7, 6, 5, 4, 3, 2, 1, 0), (0, 3, 0, 3, 7), (5, 5, 1, 1)],
)
def test_the_frame_map_may_skip_hold_repeat_and_run_backwards(tmp_path, frames):
    originals = pictures(8, 53, 47)
    path = lossless(tmp_path / "clip.mkv", originals)
    result = read(path, frames)
    assert len(result) == len(frames)
    for picture, index in zip(result, frames, strict=True):
        assert np.array_equal(picture, originals[index])
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_held_frame_is_a_new_array_each_time(tmp_path):
    first, second = read(lossless(tmp_path / "clip.mkv", pictures(2)), (1, 1))
    first[:] = 0
    assert second.any()


def test_a_reader_that_is_given_up_leaves_no_file(tmp_path):
    path = lossless(tmp_path / "clip.mkv", pictures(4))
    frames = read_frames(movie(path, (3, 2, 1)), tmp_path)
    next(frames)
    del frames
    gc.collect()
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_movie_of_one_frame_has_one_frame(tmp_path):
    path = encode(tmp_path / "one.mp4", pictures(1))
    assert probe_movie(path).frame_count == 1
    assert len(read(path, [0])) == 1


def test_a_movie_with_alpha_keeps_it(tmp_path):
    originals = pictures(3, channels=4)
    path = lossless(tmp_path / "clip.mkv", originals)
    assert probe_movie(path).has_alpha
    assert np.array_equal(np.stack(read(path, range(3))), np.stack(originals))


def test_the_rate_of_a_movie_is_exact(tmp_path):
    path = encode(tmp_path / "clip.mp4", pictures(12))
    assert probe_movie(path).fps == NTSC


def test_names_with_spaces_colons_and_other_scripts_work(tmp_path):
    folder = tmp_path / "my clips – Übung 日本"
    folder.mkdir()
    path = lossless(folder / "take 1: ünï.mkv", pictures(2))
    assert len(read(path, [0, 1])) == 2


def test_a_relative_path_counts_from_the_job_folder(tmp_path):
    (tmp_path / "source").mkdir()
    lossless(tmp_path / "source" / "clip.mkv", pictures(2))
    media = Media(path="source/clip.mkv", kind="movie", frames=(1,))
    assert len(list(read_frames(media, tmp_path))) == 1


def test_a_link_out_of_the_job_folder_is_not_followed(tmp_path):
    job = tmp_path / "job"
    job.mkdir()
    lossless(tmp_path / "clip.mkv", pictures(2))
    (job / "clip.mkv").symlink_to(tmp_path / "clip.mkv")
    with pytest.raises(InvalidJobError, match="outside"):
        list(read_frames(Media(path="clip.mkv", kind="movie", frames=(0,)), job))


def test_asking_beyond_the_end_says_both_numbers(tmp_path):
    path = encode(tmp_path / "clip.mp4", pictures(8))
    with pytest.raises(MediaError, match=r"holds 8 frames, the clip needs 121"):
        read(path, range(121))
    with pytest.raises(MediaError, match=r"holds 8 frames, the clip needs 121"):
        read(path, (120, 3))


@pytest.mark.parametrize("end", ["mkv", "mp4", "faststart.mp4"])
def test_a_cut_off_movie_is_refused(tmp_path, end):
    random = np.random.default_rng(1)
    noise = [random.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(40)]
    flags = "faststart" if end.startswith("faststart") else None
    path = encode(tmp_path / f"whole.{end}", noise, fps=Fraction(25), movflags=flags)
    cut = tmp_path / f"cut.{end}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert probe_movie(path).frame_count == 40
    with pytest.raises(MediaError, match=r"cut off|cannot be read") as caught:
        probe_movie(cut)
    assert caught.value.hint


@pytest.mark.parametrize("end", ["mkv", "mp4"])
@pytest.mark.parametrize("durations", [[1, 1, 1], [1, 50, 9], [1, 1, 200]])
def test_slow_and_uneven_movies_are_not_taken_for_cut_off_ones(tmp_path, end, durations):
    path = encode(tmp_path / f"slow.{end}", pictures(3), fps=Fraction(2), durations=durations)
    assert probe_movie(path).frame_count == 3


def test_what_is_not_a_movie_is_refused(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("not a movie\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n")
    for path in (text, empty, playlist, tmp_path, tmp_path / "missing.mp4"):
        with pytest.raises(MediaError) as caught:
            probe_movie(path)
        assert str(path) in caught.value.message
        assert caught.value.hint


def test_a_sound_file_is_refused(tmp_path):
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    with pytest.raises(MediaError, match="no pictures"):
        probe_movie(path)


def save(folder, **images):
    for name, image in images.items():
        image.save(folder / f"{name}.png")


def test_images_are_taken_in_natural_order(tmp_path):
    for number in (1, 2, 10, 9):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"shot 2 frame{number}.PNG")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "._shot 2 frame1.png").touch()
    info, files = probe_images(tmp_path)
    assert (info.width, info.height, info.frame_count, info.has_alpha) == (8, 6, 4, False)
    media = Media(path=str(tmp_path), kind="images", frames=(3, 0, 0), files=files)
    assert [int(p[0, 0, 0]) for p in read_frames(media, tmp_path)] == [10, 1, 1]


def one_image(folder, name):
    media = Media(path=str(folder), kind="images", frames=(0,), files=(name,))
    return next(read_frames(media, folder))


def test_alpha_is_kept_and_colour_under_it_too(tmp_path):
    original = pictures(1, channels=4)[0]
    Image.fromarray(original).save(tmp_path / "a.png")
    assert np.array_equal(one_image(tmp_path, "a.png"), original)


def test_sixteen_bits_become_eight_by_their_high_byte(tmp_path):
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(levels * 257).save(tmp_path / "grey.png")
    assert np.array_equal(one_image(tmp_path, "grey.png")[:, :, 1], levels)
    frame = av.VideoFrame.from_ndarray(np.stack([levels * 257] * 3, axis=2), format="rgb48le")
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = 16, 16, "rgb48be"
    context.time_base = Fraction(1, 25)
    (packet,) = context.encode(frame.reformat(format="rgb48be"))
    (tmp_path / "colour.png").write_bytes(bytes(packet))
    assert np.array_equal(one_image(tmp_path, "colour.png")[:, :, 2], levels)


def test_grey_palette_and_transparent_palette_are_converted(tmp_path):
    colours = pictures(1)[0]
    grey = Image.fromarray(colours).convert("L")
    palette = Image.fromarray(colours).quantize(8)
    save(tmp_path, grey=grey, palette=palette, grey_alpha=grey.convert("LA"))
    palette.save(tmp_path / "clear.png", transparency=0)
    assert np.array_equal(one_image(tmp_path, "grey.png"), np.asarray(grey.convert("RGB")))
    assert np.array_equal(one_image(tmp_path, "palette.png"), np.asarray(palette.convert("RGB")))
    assert one_image(tmp_path, "grey_alpha.png").shape == (48, 64, 4)
    assert (one_image(tmp_path, "clear.png")[:, :, 3] == 0).any()


def test_images_of_two_sizes_are_refused_with_both_sizes(tmp_path):
    save(tmp_path, a=Image.new("RGB", (8, 6)), b=Image.new("RGB", (9, 6)))
    media = Media(path=str(tmp_path), kind="images", frames=(0, 1), files=("a.png", "b.png"))
    with pytest.raises(MediaError, match=r"b\.png is 9×6 px, the first frame is 8×6 px"):
        list(read_frames(media, tmp_path))


def test_images_with_and_without_alpha_are_refused(tmp_path):
    save(tmp_path, a=Image.new("RGB", (8, 6)), b=Image.new("RGBA", (8, 6)))
    media = Media(path=str(tmp_path), kind="images", frames=(0, 1), files=("a.png", "b.png"))
    with pytest.raises(MediaError, match="alpha"):
        list(read_frames(media, tmp_path))


def test_unusable_images_are_refused(tmp_path):
    save(tmp_path, whole=Image.fromarray(pictures(1)[0]))
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name in ("cut.png", "text.png", "float.tif", "missing.png"):
        with pytest.raises(MediaError, match=name) as caught:
            one_image(tmp_path, name)
        assert caught.value.hint


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(MediaError, match="no pictures"):
        probe_images(tmp_path)
