# SPDX-License-Identifier: GPL-3.0-or-later
"""Strips become media: exact frame maps, and exact pixels where Blender has to render."""

import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.pictures import frame, read_png, read_rgb, write_png, write_sequence
from tests.blender.timeline import add_effect, add_images, add_movie, children, trim


@pytest.fixture
def export(part, scene):
    return part("operators.source_export")


def place_of(part, scene, strip):
    return part("operators.strips").find_named(scene, strip.name)


def rendered(part, tmp_path: Path, export_plan) -> Path:
    """Run the second Blender to its end."""
    module = part("operators.background_render")
    folder = tmp_path / "job"
    folder.mkdir()
    module.prepare(folder, export_plan.renderings)
    render = module.BackgroundRender(folder)
    while not render.poll():
        time.sleep(0.05)
    assert render.done == render.total
    assert not (folder / module.BLEND).exists()
    return folder


def test_a_movie_trimmed_at_both_ends_and_moved_maps_to_exactly_its_frames(
    part, scene, export, movie
):
    strip = add_movie(scene.sequence_editor, movie, start=100)
    trim(strip, 105, 117)
    plan = export.plan_export(place_of(part, scene, strip))
    assert plan.source.media.frames == tuple(range(5, 17))
    assert plan.source.media.kind == "movie"
    assert Path(plan.source.media.path) == movie
    assert plan.source.size == (64, 48)
    assert plan.renderings == []


def test_frames_before_and_after_a_movies_content_are_held(part, scene, export, movie):
    strip = add_movie(scene.sequence_editor, movie, start=10)
    trim(strip, 8, 36)
    plan = export.plan_export(place_of(part, scene, strip))
    assert plan.source.media.frames == (0, 0, *range(24), 23, 23)


def test_frames_cut_off_for_good_are_not_in_the_map(part, scene, export, movie):
    strip = add_movie(scene.sequence_editor, movie, start=1)
    if hasattr(strip, "content_trim_start"):
        strip.content_trim_start = 4
    else:
        strip.animation_offset_start = 4
    plan = export.plan_export(place_of(part, scene, strip))
    assert plan.source.media.frames == tuple(range(4, 24))


def test_a_movie_of_another_frame_rate_gives_one_frame_per_frame_of_the_scene(
    part, scene, export, movie
):
    scene.render.fps = 30
    strip = add_movie(scene.sequence_editor, movie)
    plan = export.plan_export(place_of(part, scene, strip))
    assert plan.source.media.frames == tuple(range(24))
    assert plan.renderings == []
    assert list(bpy.data.scenes) == [scene]


def test_an_image_sequence_names_its_files(part, scene, export, tmp_path):
    paths = write_sequence(tmp_path / "Bilder für ä", 6)
    strip = add_images(scene.sequence_editor, paths, start=20)
    trim(strip, 22, 25)
    media = export.plan_export(place_of(part, scene, strip)).source.media
    assert media.kind == "images"
    assert Path(media.path) == paths[0].parent
    assert [media.files[index] for index in media.frames] == ["0003.png", "0004.png", "0005.png"]


def test_a_still_image_is_held_over_its_whole_length(part, scene, export, tmp_path):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "still", 1), start=5)
    trim(strip, 5, 15)
    assert export.plan_export(place_of(part, scene, strip)).source.media.frames == (0,) * 10


@pytest.mark.parametrize("kind", ["modifier", "reversed"])
def test_a_modified_or_retimed_strip_is_rendered_at_its_own_size(
    part, scene, export, tmp_path, kind
):
    scene.render.resolution_x, scene.render.resolution_y = 200, 100
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 6), start=10)
    strip.transform.offset_x = 7
    trim(strip, 11, 15)
    expected = [1, 2, 3, 4]
    if kind == "modifier":
        if hasattr(bpy.context.workspace, "sequencer_scene"):
            bpy.context.workspace.sequencer_scene = scene  # 5.0 crashes without one
        modifier = strip.modifiers.new("curves", "BRIGHT_CONTRAST")
        assert modifier is not None
    else:
        strip.use_reverse_frames = True
        expected = [4, 3, 2, 1]
    add_effect(scene.sequence_editor, "COLOR", channel=5, start=1, length=50)
    plan = export.plan_export(place_of(part, scene, strip))
    folder = rendered(part, tmp_path, plan)
    assert plan.is_media_space
    for name, number in zip(plan.source.media.files, expected, strict=True):
        assert np.array_equal(read_rgb(folder / "source" / name), frame(number))


def test_a_meta_strip_is_rendered_exactly_as_the_scene_shows_it(part, scene, export, tmp_path):
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=2, frame_start=30)
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 6), start=30)
    strip.move_to_meta(meta)
    trim(meta, 31, 34)
    add_effect(scene.sequence_editor, "COLOR", channel=5, start=1, length=50)
    plan = export.plan_export(place_of(part, scene, meta))
    folder = rendered(part, tmp_path, plan)
    assert not plan.is_media_space
    assert len(plan.source.media.frames) == 3
    # Before 5.0 a meta strip made by a script keeps a content of one frame, and holds it.
    shown = (1, 2, 3) if bpy.app.version >= (5, 0) else (0, 0, 0)
    for index, number in enumerate(shown):
        picture = read_rgb(folder / "source" / plan.source.media.files[index])
        assert np.array_equal(picture, frame(number))


def test_an_effect_strip_is_rendered_although_its_input_is_muted(part, scene, export, tmp_path):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 6), start=1)
    effect = add_effect(scene.sequence_editor, "GAUSSIAN_BLUR", channel=2, inputs=[strip])
    effect.size_x = effect.size_y = 0
    plan = export.plan_export(place_of(part, scene, effect))
    folder = rendered(part, tmp_path, plan)
    for number, name in enumerate(plan.source.media.files):
        assert np.array_equal(read_rgb(folder / "source" / name), frame(number))


def test_keyframes_of_the_scene_and_of_other_strips_do_not_get_in(part, scene, export, tmp_path):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 2), start=1)
    strip.use_reverse_frames = True
    other = add_effect(scene.sequence_editor, "COLOR", channel=5, start=1, length=50)
    for owner, name, value in ((other, "mute", False), (scene.view_settings, "exposure", 2.0)):
        setattr(owner, name, value)
        owner.keyframe_insert(name, frame=1)
    plan = export.plan_export(place_of(part, scene, strip))
    folder = rendered(part, tmp_path, plan)
    for name, number in zip(plan.source.media.files, (1, 0), strict=True):
        assert np.array_equal(read_rgb(folder / "source" / name), frame(number))


def test_a_strip_that_only_passes_its_neutral_place_does_not_fill_the_scene(
    part, scene, export, tmp_path
):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 2), start=1)
    place = place_of(part, scene, strip)
    assert part("operators.media_space").fills_scene(place)
    strip.transform.keyframe_insert("offset_x", frame=1)
    assert not part("operators.media_space").fills_scene(place)


def test_frames_before_zero_are_rendered_too(part, scene, export, tmp_path):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 4), start=-2)
    strip.use_reverse_frames = True
    plan = export.plan_export(place_of(part, scene, strip))
    folder = rendered(part, tmp_path, plan)
    for name, number in zip(plan.source.media.files, (3, 2, 1, 0), strict=True):
        assert np.array_equal(read_rgb(folder / "source" / name), frame(number))


def test_the_open_file_stays_as_it_was_when_a_copy_is_rendered(part, scene, export, tmp_path):
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 3))
    strip.use_reverse_frames = True
    name = scene.name
    plan = export.plan_export(place_of(part, scene, strip))
    rendered(part, tmp_path, plan)
    assert bpy.data.filepath == ""
    assert [s.name for s in bpy.data.scenes] == [name]
    assert not strip.mute


def test_a_mask_of_the_same_size_and_place_is_read_from_its_files(part, scene, export, tmp_path):
    editor = scene.sequence_editor
    scene.render.resolution_x = 640
    strip = add_images(editor, write_sequence(tmp_path / "in", 6), start=1)
    mask = add_images(editor, write_sequence(tmp_path / "mask", 6), start=1, channel=2, name="mask")
    plan = export.plan_export(place_of(part, scene, strip), place_of(part, scene, mask))
    assert plan.renderings == []
    assert plan.mask.media.frames == tuple(range(6))
    assert plan.warnings == ()


def test_a_mask_shorter_than_the_clip_is_held_with_a_warning(part, scene, export, tmp_path):
    editor = scene.sequence_editor
    strip = add_images(editor, write_sequence(tmp_path / "in", 8), start=1)
    mask = add_images(editor, write_sequence(tmp_path / "m", 4), start=3, channel=2, name="mask")
    plan = export.plan_export(place_of(part, scene, strip), place_of(part, scene, mask))
    assert plan.mask.media.frames == (0, 0, 0, 1, 2, 3, 3, 3)
    assert "covers frames 3–6 of 1–8" in plan.warnings[0]


def test_a_mask_placed_differently_makes_both_as_the_scene_shows_them(
    part, scene, export, tmp_path
):
    editor = scene.sequence_editor
    scene.render.resolution_x, scene.render.resolution_y = 80, 60
    strip = add_images(editor, write_sequence(tmp_path / "in", 2), start=1)
    mask = add_effect(editor, "COLOR", channel=2, length=1)
    mask.color = (1, 1, 1)
    plan = export.plan_export(place_of(part, scene, strip), place_of(part, scene, mask))
    assert not plan.is_media_space
    assert "placed differently" in plan.warnings[0]
    folder = rendered(part, tmp_path, plan)
    picture = read_png(folder / "source" / "000002.png")
    assert picture.shape == (60, 80, 4)
    assert np.array_equal(picture[6:54, 8:72, :3], frame(1))
    assert (picture[6:54, 8:72, 3] == 255).all()
    assert (picture[:6] == 0).all()  # what the strip leaves open stays open
    assert (read_png(folder / "mask" / "000001.png") == 255).all()
    assert plan.mask.media.frames == (0, 0)


def test_an_alpha_mask_is_rendered_with_its_alpha(part, scene, export, tmp_path):
    editor = scene.sequence_editor
    strip = add_images(editor, write_sequence(tmp_path / "in", 1))
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[10:20, 30:40] = 255
    write_png(tmp_path / "alpha.png", pixels)
    mask = add_images(editor, [tmp_path / "alpha.png"], channel=2, name="mask")
    mask.use_flip_x = True
    plan = export.plan_export(
        place_of(part, scene, strip), place_of(part, scene, mask), mask_channel="alpha"
    )
    folder = rendered(part, tmp_path, plan)
    picture = read_png(folder / "mask" / "000001.png")
    assert np.array_equal(picture[..., 3], pixels[:, ::-1, 3])


def test_a_strip_inside_a_meta_strip_is_found_and_selected_there(part, scene, export, tmp_path):
    strips = part("operators.strips")
    meta = children(scene.sequence_editor).new_meta(name="meta", channel=2, frame_start=1)
    strip = add_images(scene.sequence_editor, write_sequence(tmp_path / "in", 2))
    strip.move_to_meta(meta)
    place = strips.find_named(scene, "images")
    assert place.parents == (meta,)
    assert place.container == meta


def test_a_movie_that_follows_its_own_frame_rate_counts_as_retimed(part, scene, tmp_path, movie):
    strips = part("operators.strips")
    strip = add_movie(scene.sequence_editor, movie)
    assert not strips.is_retimed(strip)
    strip.strobe = 2
    assert strips.is_retimed(strip)


def test_the_movie_maker_of_these_tests_is_exact(movie, part, scene, export, tmp_path):
    strip = add_movie(scene.sequence_editor, movie)
    strip.use_reverse_frames = True
    plan = export.plan_export(place_of(part, scene, strip))
    folder = rendered(part, tmp_path, plan)
    for index, name in enumerate(plan.source.media.files):
        assert np.array_equal(read_rgb(folder / "source" / name), frame(23 - index))
