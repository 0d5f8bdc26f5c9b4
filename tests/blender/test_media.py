"""Which media the engine reads itself, and which Blender renders for it."""

import ast
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.conftest import ROOT
from tests.blender.movies import make_grey_movie
from tests.blender.pictures import read_rgb
from tests.blender.timeline import add_images, add_movie


def plan_of(part, scene, strip):
    place = part("operators.strips").find_named(scene, strip.name)
    return part("operators.source_export").plan_export(place)


def rendered(part, folder: Path, plan) -> Path:
    module = part("operators.background_render")
    folder.mkdir()
    module.prepare(folder, plan.renderings)
    render = module.BackgroundRender(folder)
    while not render.poll():
        time.sleep(0.05)
    return folder


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_movie_of_varying_frame_rate_is_rendered_as_blender_shows_it(
    part, scene, tmp_path, suffix
):
    times = [*range(10), *range(20, 30)]
    path = make_grey_movie(tmp_path / f"phone.{suffix}", times)
    plan = plan_of(part, scene, add_movie(scene.sequence_editor, path))
    assert plan.source.media.kind == "images"
    folder = rendered(part, tmp_path / "job", plan)
    pictures = [read_rgb(folder / "source" / name) for name in plan.source.media.files]
    numbers = [round((np.median(picture) - 20) / 10) for picture in pictures]
    assert len(numbers) == 30
    assert numbers[:10] == list(range(10))
    assert numbers[20:] == list(range(10, 20))


@pytest.mark.parametrize("fps", [24, 30])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_movie_of_constant_frame_rate_is_read_by_the_engine(part, scene, tmp_path, suffix, fps):
    path = make_grey_movie(tmp_path / f"film.{suffix}", list(range(20)), fps=fps)
    plan = plan_of(part, scene, add_movie(scene.sequence_editor, path))
    assert plan.source.media.kind == "movie"
    assert plan.source.media.frames == tuple(range(20))
    assert plan.renderings == []


@pytest.mark.parametrize("file_format", ["OPEN_EXR", "DPX", "HDR", "JPEG2000"])
def test_pictures_that_only_blender_reads_are_rendered_with_a_notice(
    part, scene, tmp_path, file_format
):
    suffix = {"OPEN_EXR": "exr", "DPX": "dpx", "HDR": "hdr", "JPEG2000": "jp2"}[file_format]
    image = bpy.data.images.new("grey", 64, 48, float_buffer=file_format in ("OPEN_EXR", "HDR"))
    image.generated_color = (0.5, 0.5, 0.5, 1)
    image.file_format = file_format
    image.filepath_raw = str(tmp_path / f"0001.{suffix}")
    image.save()
    plan = plan_of(part, scene, add_images(scene.sequence_editor, [Path(image.filepath_raw)]))
    assert "8-bit sRGB" in plan.warnings[0]
    assert suffix.upper() in plan.warnings[0]
    folder = rendered(part, tmp_path / "job", plan)
    picture = read_rgb(folder / "source" / "000001.png")
    assert picture.shape == (48, 64, 3)
    assert np.ptp(picture) <= 2
    assert picture.mean() > 60


def test_the_kinds_of_pictures_read_directly_are_those_the_engine_reads(part):
    text = (ROOT / "engine/video/images.py").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("IMAGE_SUFFIXES = "))
    suffixes = ast.literal_eval(line.partition(" = ")[2])
    assert suffixes == part("operators.source_files").ENGINE_SUFFIXES


def test_a_damaged_header_does_not_count_as_a_varying_rate(part, tmp_path):
    timing = part("operators.movie_timing")
    path = tmp_path / "damaged.mp4"
    for data in (b"", b"\0\0\0\1moov", b"\0\0\0\7moov", b"\0\0\0\x10moov" + b"\xff" * 8):
        path.write_bytes(data)
        assert not timing.is_variable(path, 24.0)
    assert not timing.is_variable(tmp_path / "missing.mp4", 24.0)
