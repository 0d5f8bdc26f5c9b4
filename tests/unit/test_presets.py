# SPDX-License-Identifier: GPL-3.0-or-later
"""Draft, Balanced and Quality: the same way in fewer or more steps, as far as a step may go."""

from pathlib import Path

import pytest

from engine.errors import InvalidJobError
from engine.job import EditSettings
from engine.presets import PACE, at_preset
from engine.registry import as_card, installed_backbones, known_models
from engine.schema import field_info


@pytest.mark.parametrize("preset", PACE)
def test_steps_times_their_size_is_the_same_in_every_preset_as_far_as_a_step_may_go(preset):
    for card in installed_backbones():
        recommended = card.recommended("dds")
        found = at_preset(recommended, preset)
        way = recommended.steps * recommended.step_size
        largest = field_info(EditSettings, "step_size").maximum
        assert found.step_size == pytest.approx(min(way / found.steps, largest), rel=0.05)
        kept = recommended.averaging**recommended.steps
        assert found.averaging**found.steps == pytest.approx(kept, rel=0.2)


@pytest.mark.parametrize("preset", PACE)
@pytest.mark.parametrize("method", ["sds", "dds", "dreammotion", "assd"])
def test_a_preset_keeps_the_way_of_a_fixed_step_too(preset, method):
    for model in known_models():
        recommended = as_card(model, Path()).recommended(method)
        found = at_preset(recommended, preset)
        way = recommended.steps * recommended.effective_step
        assert found.steps * found.effective_step == pytest.approx(way, rel=1e-5)
        assert found.assd.image_backbone == recommended.assd.image_backbone


def test_balanced_is_what_the_backbone_recommends():
    recommended = installed_backbones()[0].recommended("dds")
    assert at_preset(recommended, "balanced") is recommended


@pytest.mark.parametrize("preset", PACE)
@pytest.mark.parametrize("step_size", [0.0001, 2.0])
def test_a_preset_stays_within_the_limits_of_the_fields(preset, step_size):
    extreme = EditSettings(steps=1, step_size=step_size, effective_step=10, averaging=0.99)
    found = at_preset(extreme, preset)  # out of its limits it could not be made
    assert found.steps >= 1
    assert found.averaging <= 0.99


def test_an_unknown_preset_is_refused_with_those_that_there_are():
    with pytest.raises(InvalidJobError, match="'best'") as refused:
        at_preset(EditSettings(), "best")
    assert "draft, balanced, quality" in refused.value.hint
