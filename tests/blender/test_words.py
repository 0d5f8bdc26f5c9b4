# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts with values in them are looked up before the values come in."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def german(part, monkeypatch):
    """Blender as a Python module knows no languages: its look-up is replaced."""

    def speak(**texts):
        for name in ("pgettext_iface", "pgettext_rpt"):
            monkeypatch.setattr(part("operators.words"), name, lambda text: texts.get(text, text))

    return speak


def test_a_line_of_the_panel_appears_translated_with_its_values(part, german):
    german(**{"{count} min": "{count} Min.", "{time} left": "noch {time}"})
    assert part("panels.status").time_left(600) == "noch 10 Min."


def test_an_error_appears_translated_with_its_values(part, scene, german):
    german(**{"There is no mask strip “{name}”.": "Es gibt keinen Maskenstreifen „{name}“."})
    scene.delta_strip.mask_strip = "gone"
    with pytest.raises(part("engine.errors").MaskError, match="Maskenstreifen „gone“"):
        part("operators.mask_choice").mask_place(scene)


@pytest.mark.parametrize("mistake", ["{tiem} left", "{} left", "{time", "{time.hours} left"])
def test_a_mistake_in_a_translation_is_shown_in_english_and_breaks_nothing(part, german, mistake):
    german(**{"{time} left": mistake})
    assert part("panels.status").time_left(5) == "5 s left"


def test_braces_in_a_name_are_kept(part, german):
    german()
    assert part("operators.words").rpt_("Shown: {name}", name="{x}") == "Shown: {x}"


def test_a_cancelled_job_no_longer_says_that_it_is_stopping(part, tmp_path):
    lock = SimpleNamespace(release=lambda: None)
    job = part("operators.queued_job").QueuedJob(tmp_path, "clip", None, lock, state="running")
    job.is_cancelling = True
    status_text = part("panels.status").status_text
    assert status_text(job) == "Stopping after this step"
    job.end("cancelled")
    assert status_text(job) == "Cancelled"


def test_what_a_narrow_status_bar_cuts_off_is_the_name(part, tmp_path):
    queued = part("operators.queued_job").QueuedJob
    first = queued(tmp_path, "a very long name", None, None, state="running", stage="editing")
    first.done, first.total, first.seconds_left = 3, 10, 7
    others = [queued(tmp_path, "b", None, None) for _ in range(2)]
    text = part("panels.status").queue_text([first, *others])
    assert text == "Editing 3/10 · 7 s left · 2 waiting · a very long name"
