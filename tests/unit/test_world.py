# SPDX-License-Identifier: GPL-3.0-or-later
"""The procedural clips: same spec, same pixels; ground truth that is exact."""

import dataclasses
import json
import re
from fractions import Fraction

import numpy as np
import pytest

from demo.backgrounds import BACKGROUNDS
from demo.grammar import SYNONYMS, caption, paraphrase, vocabulary
from demo.motion import MOTIONS
from demo.sampling import sample_any, sample_spec
from demo.shapes import SHAPES
from demo.spec import COLORS, counterfactual, from_json, to_json
from demo.world import centres_px, light_factors, render, render_backgrounds, render_frames


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others():
    first, again, other = (render(sample_spec(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)


def test_a_clip_has_the_stated_shapes_types_and_ranges():
    clip = render(sample_spec(1, frames=5, width=96, height=70))
    assert clip.frames.shape == (5, 70, 96, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.alpha.shape == (5, 70, 96)
    assert clip.alpha.dtype == np.float32
    assert clip.alpha.min() == 0
    assert clip.alpha.max() == 1
    assert clip.centres.shape == (5, 2)


@pytest.mark.parametrize(("width", "height"), [(853, 477), (16, 16), (50, 120)])
def test_any_size_renders_down_to_a_single_frame(width, height):
    clip = render(sample_spec(7, frames=1, width=width, height=height, camera="pan"))
    assert clip.frames.shape == (1, height, width, 3)


@pytest.mark.parametrize("change", [{"color": "blue"}, {"shape": "star"}])
def test_the_counterfactual_differs_only_inside_the_object(change):
    spec = sample_spec(5, shape="ball", color="red", background="grass", width=160, height=90)
    source, target = render(spec), render(counterfactual(spec, **change))
    differs = (source.frames != target.frames).any(axis=-1)
    assert differs.any()
    assert not differs[np.maximum(source.alpha, target.alpha) == 0].any()
    assert np.array_equal(source.centres, target.centres)


def test_a_background_counterfactual_leaves_the_inside_of_the_object_alone():
    spec = sample_spec(6, background="bricks", color="orange")
    source, target = render(spec), render(counterfactual(spec, background="night"))
    assert np.array_equal(source.alpha, target.alpha)
    assert np.array_equal(source.frames[source.alpha == 1], target.frames[source.alpha == 1])


@pytest.mark.parametrize("height", [64, 360])
def test_the_coverage_of_a_ball_has_the_area_of_a_disc(height):
    spec = sample_spec(8, shape="ball", frames=3, width=height, height=height)
    area = render(spec).alpha.sum(axis=(1, 2))
    assert area == pytest.approx(np.pi * (spec.radius * height) ** 2, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_coverage_is_centred_where_the_truth_says(shape):
    clip = render(sample_spec(9, shape=shape, size="small", width=128, height=128))
    columns = np.arange(128) + 0.5
    x = (clip.alpha * columns).sum(axis=(1, 2)) / clip.alpha.sum(axis=(1, 2))
    assert x == pytest.approx(clip.centres[:, 0], abs=0.05)


def test_captions_follow_the_grammar():
    pattern = re.compile(
        rf"(a|an) ((small|big) )?({'|'.join(COLORS)}) ({'|'.join(SHAPES)}) "
        rf"({'|'.join(MOTIONS.values())}) over ({'|'.join(BACKGROUNDS)})"
    )
    captions = [caption(sample_spec(seed)) for seed in range(200)]
    assert all(pattern.fullmatch(text) for text in captions)
    assert all(text.startswith("an ") == (text.split()[1][0] in "aeiou") for text in captions)
    spec = sample_spec(
        1, shape="star", color="orange", motion="circle", background="water", size=""
    )
    assert caption(spec) == "an orange star moving in a circle over water"


def test_no_object_is_drawn_by_chance_in_the_colour_of_its_background():
    specs = [sample_spec(seed) for seed in range(300)]
    assert not any(s.color == "green" and s.background == "grass" for s in specs)
    assert sample_spec(1, color="green", background="grass").color == "green"


@pytest.mark.parametrize("camera", ["still", "pan"])
@pytest.mark.parametrize(
    ("width", "height", "frames"), [(64, 64, 8), (640, 360, 75), (90, 160, 20)]
)
def test_the_centre_of_the_object_never_leaves_the_picture(camera, width, height, frames):
    for seed in range(60):
        spec = sample_spec(seed, frames=frames, width=width, height=height, camera=camera)
        edge = spec.radius * spec.short_side_px
        assert (centres_px(spec) >= edge).all()
        assert (centres_px(spec) <= np.array([width, height]) - edge).all()


def test_motion_words_mean_what_they_say():
    moves = {m: np.diff(centres_px(sample_spec(2, motion=m)), axis=0) for m in MOTIONS}
    assert (moves["left"][:, 0] < 0).all()
    assert (moves["right"][:, 0] > 0).all()
    assert (moves["up"][:, 1] < 0).all()
    assert (moves["down"][:, 1] > 0).all()
    assert (moves["diagonal"] > 0).all()
    assert (moves["still"] == 0).all()


def test_a_speed_limit_holds_per_frame_at_the_asked_size():
    for motion in MOTIONS:
        spec = sample_spec(
            4, motion=motion, frames=30, width=640, height=360, camera="pan", max_speed_px=2
        )
        assert spec.speed_px <= 2 + 1e-9
        assert np.hypot(*spec.pan_px) <= 2 + 1e-9


def test_the_same_spec_shows_the_same_scene_at_another_size_and_length():
    spec = sample_spec(11, background="sky", motion="right")
    large = spec.at(width=256, height=256, frames=15)
    assert centres_px(large)[::2] / 4 == pytest.approx(centres_px(spec), abs=1e-3)
    small = next(iter(render_backgrounds(spec))).astype(float)
    big = next(iter(render_backgrounds(large))).reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - big).mean() < 5


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_panning_camera_moves_the_background_by_the_stated_pixels(background):
    spec = sample_spec(12, background=background, frames=5, width=120, height=80)
    spec = dataclasses.replace(spec, pan=(3 * 4 / 80, -1 * 4 / 80))
    assert spec.pan_px == pytest.approx((3, -1))
    frames = np.stack(list(render_backgrounds(spec))).astype(int)
    # The camera goes 3 px to the right and 1 px up: the picture goes left and down.
    moved = np.abs(frames[1:, 1:, :-3] - frames[:-1, :-1, 3:])
    assert moved.max() <= 1
    assert np.abs(frames[1:] - frames[:-1]).max() > 5


def test_a_slow_pan_moves_the_background_smoothly_below_a_pixel():
    spec = dataclasses.replace(
        sample_spec(13, background="bricks", frames=9, width=128, height=128), pan=(1 / 128, 0.0)
    )
    frames = np.stack(list(render_backgrounds(spec))).astype(float)
    changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert changes.min() > 0
    assert changes.max() < 1.5 * changes.min()


def test_a_still_object_is_carried_along_with_the_background_under_a_panning_camera():
    spec = sample_spec(14, motion="still", camera="pan", frames=6, width=160, height=90)
    assert np.diff(centres_px(spec), axis=0) == pytest.approx(
        np.tile(-np.array(spec.pan_px), (5, 1)), abs=1e-3
    )


def test_frames_come_one_by_one_and_equal_the_whole_clip():
    spec = sample_spec(15, camera="pan")
    clip = render(spec)
    for number, frame in enumerate(render_frames(spec)):
        assert np.array_equal(frame.image, clip.frames[number])
        assert np.array_equal(frame.alpha, clip.alpha[number])


def test_an_object_outside_the_picture_leaves_the_background():
    spec = sample_spec(16, frames=1)
    spec = dataclasses.replace(spec, path=dataclasses.replace(spec.path, start=(-3.0, 0.0)))
    assert np.array_equal(render(spec).frames[0], next(iter(render_backgrounds(spec))))
    assert render(spec).alpha.max() == 0


def test_a_spec_survives_json():
    spec = sample_spec(17, camera="pan", fps=Fraction(30000, 1001))
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec
    for seed in range(30):
        spec = sample_any(seed)
        assert from_json(json.loads(json.dumps(to_json(spec)))) == spec


def test_everything_the_world_has_turns_up_and_keeps_inside_the_picture():
    sizes = [(64, 64), (96, 48), (48, 80)]
    specs = [sample_any(s, width=sizes[s % 3][0], height=sizes[s % 3][1]) for s in range(240)]
    assert {spec.size for spec in specs} == {"small", "", "big", "huge"}
    assert {spec.light for spec in specs} == {"steady", "darker", "brighter", "flickering"}
    assert any(spec.companion for spec in specs)
    assert any(spec.pan != (0, 0) for spec in specs)
    assert any(spec.zoom > 1 for spec in specs)
    assert any(spec.zoom < 1 for spec in specs)
    for spec in specs:
        centres = centres_px(spec)
        assert (centres >= 0).all()
        assert (centres <= np.array([spec.width, spec.height])).all()
        if spec.companion:
            assert spec.companion.color != spec.color


def test_a_zooming_camera_magnifies_the_object_and_what_is_behind_it():
    spec = sample_spec(18, shape="ball", motion="still", camera="zoom", width=128, height=128)
    spec = dataclasses.replace(spec, zoom=1.5)
    area = render(spec).alpha.sum(axis=(1, 2))
    assert np.sqrt(area[-1] / area[0]) == pytest.approx(1.5, rel=0.02)
    frames = np.stack(list(render_backgrounds(spec))).astype(float)
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).min() > 0


@pytest.mark.parametrize("light", ["darker", "brighter", "flickering"])
def test_light_scales_every_level_of_a_frame(light):
    spec = sample_spec(19, light=light, background="sand", motion="still")
    factors = light_factors(spec)
    assert factors.max() <= 1
    assert factors.min() == pytest.approx(1 - spec.light_depth, abs=1e-6)
    dim = render(spec)
    bright = render(dataclasses.replace(spec, light="steady")).frames.astype(float)
    assert np.abs(dim.frames - bright * factors[:, None, None, None]).max() <= 1
    assert np.array_equal(dim.light, factors)
    changes = np.diff(factors)
    assert {"darker": (changes < 0).all(), "brighter": (changes > 0).all()}.get(light, True)


def test_a_companion_belongs_to_the_scene_and_stays_out_of_the_edit():
    spec = sample_spec(20, companion=True, color="red", background="sky")
    source, target = render(spec), render(counterfactual(spec, color="blue"))
    assert not (source.frames != target.frames)[source.alpha == 0].any()
    alone = dataclasses.replace(spec, companion=None)
    empty, without = (np.stack(list(render_backgrounds(s))) for s in (spec, alone))
    assert (empty != without).any()
    assert np.array_equal(source.frames[source.alpha == 0], empty[source.alpha == 0])


def test_captions_name_everything_visible():
    spec = sample_spec(
        1, shape="star", color="orange", motion="circle", background="water", size="huge"
    )
    other = sample_spec(
        2, shape="ball", color="black", motion="left", background="water", size="small"
    ).body
    whole = dataclasses.replace(
        spec, companion=other, pan=(0.2, 0.0), zoom=0.8, light="darker", light_depth=0.4
    )
    assert caption(whole) == (
        "a huge orange star moving in a circle and a small black ball moving left over water, "
        "camera panning right, camera zooming out, getting darker"
    )


def test_paraphrases_use_the_grammar_s_words_and_always_name_colour_and_shape():
    words = set(vocabulary())
    texts = set()
    for seed in range(200):
        spec = sample_any(seed)
        text = paraphrase(spec, np.random.Generator(np.random.PCG64(seed)))
        texts.add(text)
        said = set(text.replace(",", " ,").split())
        assert said <= words
        assert said & {spec.color, *SYNONYMS.get(spec.color, ())}
        assert said & {spec.shape, *SYNONYMS.get(spec.shape, ())}
    used = " ".join(texts)
    assert all(other in used for others in SYNONYMS.values() for other in others)


def test_impossible_specs_are_refused_with_the_value_and_the_way_out():
    with pytest.raises(ValueError, match=r"'pink'.*use one of"):
        sample_spec(1, color="pink")
    with pytest.raises(ValueError, match="0 frames"):
        dataclasses.replace(sample_spec(1), frames=0)
    with pytest.raises(ValueError, match="8x64 px"):
        dataclasses.replace(sample_spec(1), width=8)
    with pytest.raises(ValueError, match="zoom is 9"):
        dataclasses.replace(sample_spec(1), zoom=9.0)
    with pytest.raises(ValueError, match="light_depth is 2"):
        dataclasses.replace(sample_spec(1), light_depth=2.0)
