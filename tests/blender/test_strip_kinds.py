# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of strip: edited without changing anything, its result shows exactly what it showed.

The stand-in for the engine copies its pictures, so whatever differs was lost on the way there or
back: in the frame map, the second Blender's rendering, or the placement of the result.
"""

from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.editing import poll_until, press_edit, refused, results, start
from tests.blender.pictures import read_png, write_png, write_sequence
from tests.blender.timeline import (
    add_effect,
    add_images,
    children,
    left,
    move,
    right,
    select_only,
    trim,
)

START, LENGTH = 10, 6


def images(scene, tmp_path, **options):
    paths = write_sequence(tmp_path / "Bilder ä", LENGTH)
    return add_images(scene.sequence_editor, paths, start=START, **options)


def keyframe(owner, name, values):
    """Two keys, at the strip's first and last frame."""
    for frame, value in zip((START, START + LENGTH - 1), values, strict=True):
        setattr(owner, name, value)
        owner.keyframe_insert(name, frame=frame)


def image_sequence(scene, tmp_path):
    return images(scene, tmp_path)


def still(scene, tmp_path):
    paths = write_sequence(tmp_path / "still", 1)
    strip = add_images(scene.sequence_editor, paths, start=START)
    trim(strip, START, START + 4)
    return strip


def trimmed(scene, tmp_path):
    strip = images(scene, tmp_path)
    trim(strip, START + 1, START + 4)
    return strip


def held_before_and_after(scene, tmp_path):
    strip = images(scene, tmp_path)
    trim(strip, START - 2, START + LENGTH + 2)
    return strip


def cut_off_for_good(scene, tmp_path):
    strip = images(scene, tmp_path)
    name = (
        "content_trim_start" if hasattr(strip, "content_trim_start") else "animation_offset_start"
    )
    setattr(strip, name, 2)
    return strip


def flipped(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.use_flip_x = strip.use_flip_y = True
    return strip


def cropped(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.crop.min_x, strip.crop.max_y = 12, 7
    return strip


def transformed(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.transform.scale_x, strip.transform.scale_y = 0.5, 1.5
    strip.transform.offset_x, strip.transform.rotation = -9, 0.3
    return strip


def other_size(scene, tmp_path):
    scene.render.resolution_x, scene.render.resolution_y = 90, 40
    return images(scene, tmp_path)


def tinted(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.color_multiply, strip.color_saturation, strip.blend_alpha = 0.6, 0.3, 0.8
    return strip


def reversed_order(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.use_reverse_frames = strip.use_flip_x = True
    return strip


def strobed(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.strobe = 2
    return strip


def slowed_down(scene, tmp_path):
    if bpy.app.version < (5, 1):
        pytest.skip("scripts cannot retime pictures: no keys in 4.2, a crash in 4.5 and 5.0")
    strip = images(scene, tmp_path)
    strip.retiming_keys.add(timeline_frame=START + 3)
    strip.retiming_keys[-1].timeline_frame = START + 9
    return strip


def with_modifier(scene, tmp_path):
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene  # 5.0 crashes without one
    strip = images(scene, tmp_path)
    strip.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.2
    strip.crop.min_y = 5
    return strip


def modifier_off_at_first(scene, tmp_path):
    strip = with_modifier(scene, tmp_path)
    keyframe(strip.modifiers[0], "mute", (True, False))
    scene.frame_set(START)
    assert strip.modifiers[0].mute
    return strip


def limited_modifier(scene, tmp_path):
    strip = with_modifier(scene, tmp_path)
    strip.transform.offset_x = 11
    mask = add_images(
        scene.sequence_editor, write_sequence(tmp_path / "m", 1), start=START, channel=2, name="m"
    )
    trim(mask, START, START + LENGTH)
    mask.mute = True
    strip.modifiers[0].input_mask_strip = mask
    return strip


def fade(scene, tmp_path):
    strip = images(scene, tmp_path)
    keyframe(strip, "blend_alpha", (0.0, 1.0))
    keyframe(strip, "color_multiply", (1.0, 0.5))
    scene.frame_set(START)
    assert strip.blend_alpha == 0.0
    return strip


def keyframed_offset(scene, tmp_path):
    strip = images(scene, tmp_path)
    keyframe(strip.transform, "offset_x", (-9.0, 20.0))
    keyframe(strip.crop, "min_x", (0, 30))
    scene.frame_set(START + 2)
    return strip


def keyframed_and_reversed(scene, tmp_path):
    strip = keyframed_offset(scene, tmp_path)
    strip.use_reverse_frames = True
    keyframe(strip, "blend_alpha", (0.0, 1.0))
    return strip


def driven(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.use_reverse_frames = True
    for owner, name in ((strip, "blend_alpha"), (strip.transform, "offset_y")):
        owner.driver_add(name).driver.expression = "0.5 + frame % 2 / 4"
    return strip


def keyframed_in_a_track(scene, tmp_path):
    strip = keyframed_and_reversed(scene, tmp_path)
    animation = scene.animation_data
    track = animation.nla_tracks.new()
    track.strips.new("curves", 1, animation.action)  # as pushed down in the NLA editor
    animation.action = None
    return strip


def with_proxy(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.use_proxy = True
    strip.proxy.build_25 = strip.proxy.build_50 = True
    return strip


def on_a_muted_channel(scene, tmp_path):
    strip = images(scene, tmp_path)
    strip.use_reverse_frames = True  # so that it is rendered
    return strip


def see_through(scene, tmp_path):
    (tmp_path / "alpha").mkdir()
    random = np.random.default_rng(4)
    paths = [tmp_path / "alpha" / f"{number}.png" for number in range(3)]
    for path in paths:
        pixels = random.integers(0, 256, (48, 64, 4), dtype=np.uint8)
        pixels[..., 3] = random.choice([0, 255], (48, 64))
        write_png(path, pixels)
    return add_images(scene.sequence_editor, paths, start=START)


def see_through_and_reversed(scene, tmp_path):
    strip = see_through(scene, tmp_path)
    strip.use_reverse_frames = True
    return strip


def colour(scene, _tmp_path):
    strip = add_effect(scene.sequence_editor, "COLOR", channel=1, start=START, length=3)
    strip.color = (0.1, 0.5, 0.9)
    return strip


def small_colour(scene, tmp_path):
    strip = colour(scene, tmp_path)
    strip.transform.scale_x = 0.5
    return strip


def text(scene, _tmp_path):
    strip = add_effect(scene.sequence_editor, "TEXT", channel=1, start=START, length=2)
    strip.text = "Ä"
    strip.font_size = 30
    return strip


def blur(scene, tmp_path):
    source = images(scene, tmp_path)
    strip = add_effect(scene.sequence_editor, "GAUSSIAN_BLUR", channel=2, inputs=[source])
    strip.size_x = strip.size_y = 3
    return strip


def speed(scene, tmp_path):
    source = images(scene, tmp_path)
    strip = add_effect(scene.sequence_editor, "SPEED", channel=2, inputs=[source])
    strip.speed_control, strip.speed_factor = "MULTIPLY", 2.0
    return strip


def cross(scene, tmp_path):
    first = images(scene, tmp_path)
    second = add_effect(scene.sequence_editor, "COLOR", channel=2, start=START + 3, length=6)
    return add_effect(
        scene.sequence_editor, "CROSS", channel=3, start=START + 3, inputs=[first, second]
    )


def meta(scene, tmp_path):
    strip = children(scene.sequence_editor).new_meta(name="meta", channel=3, frame_start=START)
    images(scene, tmp_path).move_to_meta(strip)
    trim(strip, START, START + LENGTH)
    return strip


def meta_whose_picture_goes(scene, tmp_path):
    strip = meta(scene, tmp_path)
    keyframe(children(strip)[0], "mute", (False, True))
    scene.frame_set(START)
    return strip


def small_meta(scene, tmp_path):
    strip = meta(scene, tmp_path)
    strip.transform.scale_x = strip.transform.scale_y = 0.5
    return strip


def scene_strip(scene, tmp_path):
    other = bpy.data.scenes.new("Other scene")
    other.render.resolution_x, other.render.resolution_y = 64, 48
    other.view_settings.view_transform = "Standard"
    other.frame_start, other.frame_end = 1, 4
    add_images(other.sequence_editor_create(), write_sequence(tmp_path / "other", 4))
    strip = children(scene.sequence_editor).new_scene("scene", other, 1, START)
    strip.scene_input = "SEQUENCER"
    return strip


KINDS = [
    *(image_sequence, still, trimmed, held_before_and_after, cut_off_for_good, flipped, cropped),
    *(transformed, other_size, tinted, reversed_order, strobed, slowed_down, with_modifier),
    *(
        modifier_off_at_first,
        limited_modifier,
        fade,
        keyframed_offset,
        keyframed_and_reversed,
        driven,
    ),
    *(
        keyframed_in_a_track,
        with_proxy,
        on_a_muted_channel,
        see_through,
        see_through_and_reversed,
        colour,
    ),
    *(
        small_colour,
        text,
        blur,
        speed,
        cross,
        meta,
        meta_whose_picture_goes,
        small_meta,
        scene_strip,
    ),
]


def shown(scene, strip, folder: Path, *, over: str = "") -> list[np.ndarray]:
    """What the scene shows of one strip alone, over a coloured ground; inputs stay muted."""
    for other in children(scene.sequence_editor):
        other.mute = other != strip and other.name != over
    render = scene.render
    render.filepath = str(folder / "shown######")
    render.resolution_percentage, render.dither_intensity = 100, 0.0
    scene.view_settings.view_transform = "Standard"
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    scene.frame_start, scene.frame_end = left(strip), right(strip) - 1
    bpy.ops.render.render(animation=True, scene=scene.name)
    frames = range(scene.frame_start, scene.frame_end + 1)
    return [read_png(Path(render.frame_path(frame=frame))) for frame in frames]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_the_result_of_no_change_shows_exactly_what_the_strip_showed(
    scene, fake, tmp_path, make, queue
):
    strip = make(scene, tmp_path)
    ground = add_effect(scene.sequence_editor, "COLOR", channel=1, start=1, length=60)
    for other in children(scene.sequence_editor):
        other.channel += 0 if other == ground else 10
    ground.color, ground.name = (0.2, 0.7, 0.4), "ground"
    select_only(scene, strip)
    if make is on_a_muted_channel:
        scene.sequence_editor.channels[strip.channel].mute = True
    span, name = (left(strip), right(strip)), strip.name
    assert press_edit() == {"FINISHED"}, queue.jobs[0].message
    scene.sequence_editor.channels[strip.channel].mute = False
    (result,) = results(scene)
    assert (left(result), right(result)) == span
    before = shown(scene, children(scene.sequence_editor)[name], tmp_path / "before", over="ground")
    after = shown(scene, result, tmp_path / "after", over="ground")
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        worst = np.abs(one.astype(int) - other.astype(int)).max()
        assert worst == 0, f"frame {number} differs by up to {worst}/255"


def test_a_result_fades_with_its_strip_that_was_moved_meanwhile(part, scene, clip):
    keyframe(clip, "blend_alpha", (0.0, 1.0))
    curves_of = part("operators.curves").curves_of
    ((_, curve, _),) = curves_of(clip)
    curve.keyframe_points[0].interpolation = "BOUNCE"
    curve.modifiers.new("NOISE").strength = 0.3
    (job,) = start(part)
    move(clip, START + 20)
    poll_until(part, lambda: not job.is_open)
    (result,) = results(scene)
    ((_, copy, path),) = curves_of(result)
    assert path == "blend_alpha"
    assert copy.keyframe_points[0].co[0] == left(result) == START + 20
    for frame in range(START + 18, START + 30):
        assert copy.evaluate(frame) == curve.evaluate(frame)


def test_a_muted_strip_is_edited_and_its_result_is_seen(scene, fake, tmp_path):
    strip = images(scene, tmp_path)
    strip.mute = strip.use_reverse_frames = True
    select_only(scene, strip)
    press_edit()
    (result,) = results(scene)
    assert strip.mute
    assert not result.mute
    assert read_png(Path(result.directory) / result.elements[0].filename).any()


def test_several_kinds_in_one_selection_each_get_their_result(scene, fake, tmp_path):
    chosen = [text(scene, tmp_path), small_meta(scene, tmp_path)]
    chosen[0].channel = 8
    select_only(scene, *chosen)
    assert press_edit() == {"FINISHED"}
    assert sorted((s.channel, left(s), right(s)) for s in results(scene)) == [
        (4, START, START + LENGTH),
        (9, START, START + 2),
    ]


def test_one_strip_that_cannot_be_edited_keeps_the_others_from_being_queued(
    scene, fake, tmp_path, queue
):
    good = images(scene, tmp_path)
    bad = colour(scene, tmp_path)
    bad.channel, bad.lock, bad.name = 5, True, "locked one"
    select_only(scene, good, bad)
    assert "“locked one”" in refused()
    assert queue.jobs == []


def test_the_real_engine_leaves_open_what_a_text_strip_leaves_open(scene, tmp_path, real_engine):
    strip = text(scene, tmp_path)
    scene.delta_strip.strength = 0.0
    select_only(scene, strip)
    assert press_edit() == {"FINISHED"}
    (result,) = results(scene)
    pixels = read_png(Path(result.directory) / result.elements[0].filename)
    assert pixels.shape == (48, 64, 4)
    assert 0 < (pixels[..., 3] > 0).mean() < 0.5
