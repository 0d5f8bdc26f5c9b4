# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be the mask, and prompts of a strip's own."""

import json

import bpy
import numpy as np
import pytest

from tests.blender.editing import press_edit, refused, results, start
from tests.blender.pictures import frame, read_png, write_png, write_sequence
from tests.blender.timeline import add_effect, add_images, move, select_only, trim


def job_of(queue, index: int = -1) -> dict:
    return json.loads((queue.jobs[index].folder / "job.json").read_text(encoding="utf-8"))


@pytest.fixture
def drawn_mask(scene):
    """The left half of the picture."""
    mask = bpy.data.masks.new("Hälfte")
    spline = mask.layers.new(name="layer").splines.new()
    spline.points.add(3)
    spline.use_cyclic = True
    corners = ((-1, -1), (0.5, -1), (0.5, 2), (-1, 2))
    for point, corner in zip(spline.points, corners, strict=True):
        point.co = corner
        point.handle_left_type = point.handle_right_type = "VECTOR"
        point.handle_left = point.handle_right = corner
    return mask


def test_a_mask_data_block_is_rendered_for_the_frames_of_the_strip(scene, clip, queue, drawn_mask):
    scene.delta_strip.mask_kind, scene.delta_strip.mask_data = "data", drawn_mask
    assert press_edit() == {"FINISHED"}
    job = job_of(queue)
    assert job["mask"]["channel"] == "luma"
    pictures = sorted((queue.jobs[0].folder / "mask").glob("*.png"))
    assert len(pictures) == 6
    for path in pictures:
        picture = read_png(path)
        assert picture.shape[:2] == (48, 64)
        assert (picture[5:-5, :28, 0] == 255).all()
        assert (picture[5:-5, 36:, 0] == 0).all()
    assert job["source"]["kind"] == "images"
    assert not (queue.jobs[0].folder / "source").exists()  # the clip fills the scene


def test_a_mask_data_block_moves_with_the_scenes_frames(part, scene, clip, drawn_mask):
    layer = drawn_mask.layers[0]
    for number, alpha in ((10, 0.0), (15, 1.0)):
        layer.alpha = alpha
        layer.keyframe_insert("alpha", frame=number)
    for curve in part_curves(drawn_mask):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    scene.delta_strip.mask_kind, scene.delta_strip.mask_data = "data", drawn_mask
    press_edit()
    folder = part("operators.jobs").queue.jobs[0].folder / "mask"
    shades = [int(read_png(path)[24, 10, 0]) for path in sorted(folder.glob("*.png"))]
    assert shades[0] == 0
    assert shades[-1] == 255
    assert shades == sorted(shades)
    assert len(set(shades)) == 6


def part_curves(mask):
    action = mask.animation_data.action
    if hasattr(action, "fcurves"):
        return action.fcurves
    (bag,) = action.layers[0].strips[0].channelbags
    return bag.fcurves


def test_the_strips_own_alpha_is_read_from_its_files(scene, queue, tmp_path, fake):
    paths = []
    for number in range(3):
        alpha = np.full((48, 64, 1), 255 * (number % 2), np.uint8)
        path = tmp_path / f"{number}.png"
        write_png(path, np.concatenate([frame(number), alpha], axis=2))
        paths.append(path)
    strip = add_images(scene.sequence_editor, paths, name="clip")
    select_only(scene, strip)
    scene.delta_strip.mask_kind = "alpha"
    press_edit()
    job = job_of(queue)
    assert job["mask"]["channel"] == "alpha"
    assert job["mask"]["media"] == job["source"]


def test_the_alpha_of_a_rendered_strip_is_rendered_too(scene, queue, fake):
    strip = add_effect(scene.sequence_editor, "TEXT", channel=1, length=3)
    strip.text, strip.font_size = "X", 40
    select_only(scene, strip)
    scene.delta_strip.mask_kind = "alpha"
    press_edit()
    pictures = sorted((queue.jobs[0].folder / "mask").glob("*.png"))
    assert len(pictures) == 3
    alpha = read_png(pictures[0])[:, :, 3]
    assert alpha.min() == 0
    assert alpha.max() == 255


def test_an_empty_mask_field_of_either_kind_means_no_mask(scene, clip, queue):
    for kind in ("strip", "data"):
        scene.delta_strip.mask_kind = kind
        press_edit()
        assert job_of(queue)["mask"] is None


def test_a_mask_strip_left_in_its_field_counts_only_while_strips_are_the_kind(
    scene, clip, queue, tmp_path
):
    mask = add_images(
        scene.sequence_editor, write_sequence(tmp_path / "m", 6), channel=3, start=10, name="mask"
    )
    select_only(scene, clip, mask)
    scene.delta_strip.mask_strip = "mask"
    press_edit()
    assert len(results(scene)) == 1  # the mask itself is not edited
    scene.delta_strip.mask_kind = "alpha"
    scene.delta_strip.mask_kind = "data"
    press_edit()
    assert len(results(scene)) == 3


def test_a_mask_strip_that_is_too_short_is_remarked_on_before_the_edit(part, scene, clip, tmp_path):
    edit, choice = part("operators.edit"), part("operators.mask_choice")

    def gap() -> str:
        return choice.mask_gap(edit.editable(scene))

    mask = add_images(
        scene.sequence_editor, write_sequence(tmp_path / "m", 6), channel=3, start=10, name="mask"
    )
    select_only(scene, clip)
    assert gap() == ""
    scene.delta_strip.mask_strip = "mask"
    assert gap() == ""
    trim(mask, 12, 16)
    assert "covers frames 12–15 of 10–15" in gap()
    trim(mask, 10, 14)
    move(clip, 12)
    assert "covers frames 12–13 of 12–17" in gap(), "not those that nobody asked for"
    move(clip, 32)
    assert "covers none of the frames 32–37" in gap()


def test_strips_of_one_selection_can_have_prompts_of_their_own(scene, clip, queue, tmp_path):
    other = add_images(
        scene.sequence_editor, write_sequence(tmp_path / "o", 2), start=40, name="other"
    )
    other.delta_strip.use_own_prompts = True
    assert other.delta_strip.source_prompt == "a red ball"  # it begins with what holds for all
    other.delta_strip.target_prompt = "a yellow ball"
    select_only(scene, clip, other)
    scene.delta_strip.source_prompt = "a red ball on grass"
    press_edit()
    words = [(job.job.source_prompt, job.job.target_prompt) for job in queue.jobs]
    assert words == [("a red ball on grass", "a blue ball"), ("a red ball", "a yellow ball")]
    other.delta_strip.target_prompt = " "
    assert "The target prompt is empty" in refused()
    other.delta_strip.use_own_prompts = False
    assert press_edit() == {"FINISHED"}


def test_undo_takes_back_own_prompts(part, scene, clip):
    bpy.ops.ed.undo_push(message="before")
    clip.delta_strip.use_own_prompts = True
    bpy.ops.ed.undo_push(message="own")
    bpy.ops.ed.undo()
    place = part("operators.strips").find_named(bpy.context.scene, "clip")
    assert not place.strip.delta_strip.use_own_prompts
    (job,) = start(part)
    assert job.job.target_prompt == "a blue ball"
