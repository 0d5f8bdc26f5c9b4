# SPDX-License-Identifier: GPL-3.0-or-later
"""A film in a real Blender window: three strips, a mask, cutting on, a crash, and what is left.

python -m pytest tests/gui
"""

import shutil

import pytest

from tests.gui.window import ROOT, make_zip, run_blender, why_not

FOLDER = ROOT / "build" / "gui-film"
PICTURES = (
    *("selected", "running", "results", "test_frames", "dreammotion", "assd", "made_from"),
    *("reused", "preview", "offered", "recovered"),
)

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def facts() -> dict:
    """What happened in the window, before and after a crash."""
    if reason := why_not():
        pytest.skip(reason)
    pytest.importorskip("imageio", reason="the pictures need the engine's packages")
    from tests.gui import film

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    make_zip(FOLDER / "delta_strip.zip")
    film.write_clip(FOLDER / "clip")
    film.write_mask(FOLDER / "mask")
    film.write_recording(FOLDER / "recording")
    found = run_blender("film_script.py", FOLDER, seconds=300)
    shutil.copyfile(FOLDER / "start.log", FOLDER / "film.log")
    return found | run_blender("recovery_script.py", FOLDER, seconds=200)


def test_the_tab_says_what_three_strips_are(facts):
    assert facts["selection"].startswith("3 strips · 48 frames · 640×360")
    assert facts["why_not"] == ""


def test_one_click_makes_a_job_of_each_strip_with_its_own_words(facts):
    own, common = "a golden sphere moving over the sky", "a yellow ball moving over sky"
    assert facts["prompts"] == [common, own, common]
    assert facts["masks"] == [True] * 3


def test_the_film_can_be_cut_and_a_cut_undone_while_the_jobs_run(facts):
    assert "title" in facts["cut"]
    assert "title" not in facts["deleted"]
    assert "title" in facts["undone"]
    assert facts["still_running"]


def test_each_result_lies_above_its_source_where_that_has_gone_meanwhile(facts):
    assert facts["states"] == ["done"] * 3
    assert len(facts["places"]) == 3
    assert facts["sources"]["three"] == [43, 59]  # ten frames later than at the click
    assert sorted(facts["places"].values()) == sorted(facts["sources"].values())


def test_a_click_on_test_frames_edits_a_few_frames_at_the_playhead(facts):
    assert facts["test_state"] == "done"
    assert 1 < facts["test_frames"] < 16


def test_the_settings_of_a_result_come_back_with_its_words(facts):
    assert facts["reused"] == "a golden sphere moving over the sky"
    assert (facts["method"], facts["mask"]) == ("dds", "mask")


def test_after_a_crash_the_job_is_offered_and_a_click_finishes_it(facts):
    assert facts["offered"] == [facts["left"]]
    assert facts["ended"] == ["done"]
    assert len(facts["after"]) == len(facts["before"]) + 1
    assert facts["offered_again"] == 0


def test_there_are_pictures_of_the_film(facts):
    for name in PICTURES:
        assert (FOLDER / f"film_{name}.png").stat().st_size > 10_000
