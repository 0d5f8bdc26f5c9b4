"""What is worked out at every redraw of the panel stays quick on large timelines."""

import time
from collections.abc import Callable

import pytest

from tests.blender.pictures import write_sequence
from tests.blender.timeline import add_effect, add_images, select_only, trim

LIMIT_SECONDS = 0.02


def quickest(function: Callable[[], object]) -> float:
    def once() -> float:
        began = time.process_time()  # a busy machine must not count
        function()
        return time.process_time() - began

    return min(once() for _ in range(5))


@pytest.fixture
def ready(scene, fake):
    """A scene in which nothing but the strips could keep Edit from being pressed."""
    return scene


def test_a_strip_of_thousands_of_pictures_does_not_slow_down_drawing(part, ready, tmp_path):
    (path,) = write_sequence(tmp_path / "in", 1)
    strip = add_images(ready.sequence_editor, [path])
    for _ in range(4999):
        strip.elements.append(path.name)
    trim(strip, 1, 5001)
    edit = part("operators.edit")
    assert edit.why_not(ready) == ""
    assert quickest(lambda: edit.why_not(ready)) < LIMIT_SECONDS


def test_a_selection_of_many_strips_does_not_slow_down_drawing(part, ready):
    strips = [
        add_effect(ready.sequence_editor, "COLOR", channel=1 + n % 100, start=1 + 20 * (n // 100))
        for n in range(1500)
    ]
    select_only(ready, *strips)
    edit = part("operators.edit")
    assert edit.why_not(ready) == ""
    assert quickest(lambda: edit.why_not(ready)) < LIMIT_SECONDS


def test_a_file_missing_in_the_middle_is_found_when_edit_is_pressed(part, ready, tmp_path):
    paths = write_sequence(tmp_path / "in", 5)
    select_only(ready, add_images(ready.sequence_editor, paths))
    paths[2].unlink()
    edit = part("operators.edit")
    assert edit.why_not(ready) == ""
    plan_export = part("operators.source_export").plan_export
    with pytest.raises(part("engine.errors").MediaError, match=paths[2].name):
        plan_export(edit.editable(ready)[0])


@pytest.mark.parametrize("index", [0, 4])
def test_a_first_or_last_file_that_is_missing_is_said_on_the_button(part, ready, tmp_path, index):
    paths = write_sequence(tmp_path / "in", 5)
    select_only(ready, add_images(ready.sequence_editor, paths))
    paths[index].unlink()
    assert paths[index].name in part("operators.edit").why_not(ready)


def test_looking_for_the_strips_of_a_result_does_not_slow_down_drawing(part, ready, tmp_path):
    for n in range(1500):
        add_effect(ready.sequence_editor, "COLOR", channel=1 + n % 100, start=1 + 20 * (n // 100))
    imports, listed = part("operators.result_import"), part("operators.results")
    placement = imports.Placement("no such key", "gone", ready.name, "", 1, 1, True, False)

    def look() -> None:
        assert imports.look_up_source(placement) is None
        assert listed.strips_showing(tmp_path) == []

    assert quickest(look) < LIMIT_SECONDS
