# SPDX-License-Identifier: GPL-3.0-or-later
"""The movie writer: what is read back is what was written."""

import json
from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np
import pytest

from demo.movie import write_clip, write_images, write_movie
from demo.sampling import sample_spec
from demo.spec import from_json
from demo.truth import erode
from demo.world import render

NTSC = Fraction(30000, 1001)


def _read(path):
    """Planes of luma and the RGB frames by the file's own tags."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return frames, np.stack([f.to_ndarray(format="rgb24") for f in frames])


def test_an_h264_movie_keeps_count_size_rate_and_colours(tmp_path):
    clip = render(sample_spec(31, shape="ball", color="orange", frames=12, width=160, height=90))
    count = write_movie(tmp_path / "clip.mp4", clip.frames, NTSC)
    frames, rgb = _read(tmp_path / "clip.mp4")
    assert count == len(frames) == 12
    assert rgb.shape == clip.frames.shape
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == NTSC
        assert stream.codec_context.profile == "High"
        assert stream.codec_context.pix_fmt == "yuv420p"
    assert np.abs(rgb.astype(float) - clip.frames).mean() < 4
    # Chroma is stored at half size, so colours run over the edge by a pixel or two.
    inside = erode(clip.alpha == 1, 2)
    assert rgb[inside].mean(axis=0) == pytest.approx(clip.frames[inside].mean(axis=0), abs=2)


@pytest.mark.parametrize(
    "rgb", [(220, 40, 40), (40, 190, 60), (40, 70, 225), (245, 245, 245), (20, 20, 20)]
)
def test_luma_is_computed_with_the_matrix_of_the_tags(tmp_path, rgb):
    flat = np.full((2, 32, 32, 3), rgb, np.uint8)
    write_movie(tmp_path / "flat.mp4", flat, Fraction(25), crf=1)
    frame = _read(tmp_path / "flat.mp4")[0][0]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    assert frame.color_range == 1
    luma = 16 + 219 / 255 * np.dot(rgb, (0.2126, 0.7152, 0.0722))
    assert frame.to_ndarray()[:32].mean() == pytest.approx(luma, abs=1)


def test_a_lossless_movie_is_exact_even_at_odd_sizes(tmp_path):
    clip = render(sample_spec(32, frames=3, width=53, height=47))
    write_movie(tmp_path / "clip.mkv", clip.frames, Fraction(24), codec="ffv1")
    assert np.array_equal(_read(tmp_path / "clip.mkv")[1], clip.frames)


def test_odd_sides_are_refused_for_h264_with_the_size_and_the_way_out(tmp_path):
    with pytest.raises(ValueError, match=r"53x48 px.*even"):
        write_movie(tmp_path / "clip.mp4", np.zeros((1, 48, 53, 3), np.uint8), Fraction(25))


def test_a_writer_that_fails_halfway_leaves_no_file_and_keeps_the_old_one(tmp_path):
    def broken():
        yield np.zeros((32, 32, 3), np.uint8)
        raise RuntimeError("no more frames")

    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no more"):
        write_movie(path, broken(), Fraction(25))
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"old"


def test_no_frames_make_no_movie(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_movie(tmp_path / "clip.mp4", [], Fraction(25))


def test_images_are_numbered_from_one(tmp_path):
    assert write_images(tmp_path / "out", np.zeros((2, 8, 8), np.uint8)) == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000001.png", "000002.png"]


def test_a_written_clip_comes_with_its_mask_and_its_truth(tmp_path):
    spec = sample_spec(33, frames=4, width=96, height=64, fps=NTSC)
    clip = render(spec)
    write_clip(spec, tmp_path, use_mask_movie=True)
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert from_json(truth["spec"]) == spec
    assert truth["caption"] == clip.caption
    assert np.array(truth["centres_px"]) == pytest.approx(clip.centres, abs=1e-3)
    mask = np.stack([iio.imread(p) for p in sorted((tmp_path / "mask").iterdir())])
    assert np.array_equal(mask, np.rint(clip.alpha * 255))
    assert np.array_equal(_read(tmp_path / "mask.mkv")[1][..., 0], mask)
    assert len(_read(tmp_path / "clip.mp4")[0]) == 4
