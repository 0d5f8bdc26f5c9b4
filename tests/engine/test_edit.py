# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop on a stand-in model whose numbers are known."""

import shutil
from dataclasses import replace

import pytest
import torch

from engine.backbones.base import Recording
from engine.editing import machine
from engine.editing.checkpoint import load_checkpoint, save_checkpoint
from engine.editing.edit import MOST_UPDATE, Edit
from engine.editing.identity import identity_of
from engine.editing.state import Clip
from engine.errors import CancelledError, InvalidJobError, NumericalError
from engine.guidance.self_similarity import spatial_self_similarity
from engine.job import EditSettings
from engine.method_settings import AssdSettings, DreamMotionSettings
from engine.registry import find_backbone, read_card
from tests.engine.folders import retrain
from tests.engine.stand_in import SITES, StandIn

SETTINGS = EditSettings(steps=6, step_size=0.05, use_stopping_rule=False, averaging=0.5)
MASKED = DreamMotionSettings(mask_scope="all")
CPU = torch.device("cpu")


def clip(frames=6, mask=None):
    generator = torch.Generator().manual_seed(1)
    z_source = torch.randn(frames, 3, 8, 8, generator=generator)
    if mask is None:
        mask = torch.ones(frames, 1, 8, 8)
    return Clip(z_source=z_source, mask=mask, media_frames=tuple(range(frames)))


def edit(
    settings=SETTINGS,
    *,
    frames=6,
    target="a blue ball",
    backbone=None,
    mask=None,
    seed=4,
    **options,
):
    return Edit(
        backbone or StandIn(),
        clip(frames, mask),
        source_prompt="a red ball",
        target_prompt=target,
        settings=settings,
        seed=seed,
        **options,
    )


def image_of(method):
    return {"method": method, "image_backbone": StandIn() if method == "assd" else None}


def run(one_edit, state=None):
    state = state or one_edit.start()
    while not state.is_finished:
        state = one_edit.advance(state)
    return state


def test_equal_prompts_run_every_step_with_a_gradient_of_exactly_zero():
    settings = replace(SETTINGS, use_stopping_rule=True, probe_interval=2)
    state = run(edit(settings, target="a red ball"))
    assert state.gradient_norms == (0.0,) * 6
    assert torch.equal(state.z_average, clip().z_source)


def test_other_prompts_move_the_latents():
    state = run(edit())
    assert all(norm > 0 for norm in state.gradient_norms)
    assert not torch.equal(state.z_average, clip().z_source)


def test_the_result_is_the_running_mean_of_the_latents():
    one_edit = edit(replace(SETTINGS, averaging=0.25, steps=3))
    state, expected = one_edit.start(), clip().z_source
    while not state.is_finished:
        state = one_edit.advance(state)
        expected = 0.25 * expected + 0.75 * state.z_target
    assert torch.allclose(state.z_average, expected, atol=1e-6)
    plain = run(edit(replace(SETTINGS, averaging=0.0)))
    assert torch.allclose(plain.z_average, plain.z_target, atol=1e-6)


def test_latents_outside_the_mask_never_change():
    mask = torch.zeros(6, 1, 8, 8)
    mask[:, :, :4] = 1
    state = run(edit(mask=mask))
    assert torch.equal(state.z_average[:, :, 4:], clip().z_source[:, :, 4:])
    assert not torch.equal(state.z_average[:, :, :4], clip().z_source[:, :, :4])


@pytest.mark.parametrize("method", ["sds", "dds", "assd"])
def test_the_first_updates_have_the_calibrated_size(method):
    settings = replace(SETTINGS, step_size=0.1, steps=1)
    sizes = []
    for seed in range(12):
        state = run(edit(settings, seed=seed, **image_of(method)))
        power = (state.z_target - clip().z_source).square().mean(1).double()
        sizes.append(float((power**2).sum() / power.sum()) ** 0.5)
    assert sum(sizes) / len(sizes) == pytest.approx(0.1, rel=0.35)


@pytest.mark.parametrize("rule", ["calibrated", "fixed"])
def test_a_calibrated_update_is_limited_when_gradients_grow(rule):
    one_edit = edit(replace(SETTINGS, step_rule=rule, effective_step=0.1))
    state = one_edit.start()
    plain = one_edit.advance(state).update_norms[0]
    grown = one_edit.advance(replace(state, effective_step=1000 * state.effective_step))
    moved = grown.z_target - state.z_target
    limit = MOST_UPDATE * SETTINGS.step_size
    if rule == "fixed":
        assert grown.update_norms[0] == pytest.approx(1000 * plain, rel=1e-5)
    else:
        power = moved.square().mean(1)
        assert float((power.square().sum() / power.sum()).sqrt()) == pytest.approx(limit, rel=1e-5)


def test_a_model_with_stronger_gradients_is_edited_as_far():
    class Stronger(StandIn):
        def noise_pred(self, z_t, timestep, embeddings, **watched):
            return 3 * super().noise_pred(z_t, timestep, embeddings, **watched)

    weak, strong = edit().start(), edit(backbone=Stronger()).start()
    assert weak.effective_step == pytest.approx(3 * strong.effective_step, rel=1e-5)


def test_the_fixed_rule_uses_the_given_coefficient():
    state = edit(replace(SETTINGS, step_rule="fixed", effective_step=0.07)).start()
    assert state.effective_step == 0.07
    moved = run(edit(replace(SETTINGS, step_rule="fixed", effective_step=0.07, steps=1)))
    assert moved.update_norms[0] == pytest.approx(0.07 * moved.gradient_norms[0], rel=1e-5)


def test_strength_zero_leaves_the_clip():
    state = run(edit(replace(SETTINGS, strength=0.0)))
    assert state.step == 0
    assert torch.equal(state.z_average, clip().z_source)


def test_without_the_stopping_rule_strength_is_a_share_of_the_steps():
    assert replace(SETTINGS, strength=0.01).most_steps == 1
    assert run(edit(replace(SETTINGS, strength=0.5))).step == 3


def test_adam_knows_no_scale_of_the_gradient():
    adam = replace(SETTINGS, optimiser="adam")
    found = run(edit(adam)).z_average
    for effective_step in (0.01, 5.0):
        fixed = replace(adam, step_rule="fixed", effective_step=effective_step)
        assert torch.equal(run(edit(fixed)).z_average, found)


def test_more_strength_takes_more_steps_under_the_stopping_rule():
    settings = replace(
        SETTINGS, steps=60, use_stopping_rule=True, probe_interval=1, step_size=0.001
    )
    weak = run(edit(replace(settings, strength=0.2)))
    strong = run(edit(replace(settings, strength=0.6)))
    assert 0 < weak.step < strong.step
    assert weak.progress > 0.2
    assert strong.progress > 0.6


@pytest.mark.parametrize(("strength", "steps"), [(0.5, 6), (1.0, 6), (1.1, 7), (2.0, 12)])
def test_an_edit_whose_steps_run_out_goes_further_at_more_strength(strength, steps):
    settings = replace(SETTINGS, use_stopping_rule=True, step_size=0.0001, strength=strength)
    state = run(edit(settings))
    assert state.step == settings.most_steps == steps
    assert state.progress < strength
    without_a_rule = replace(settings, use_stopping_rule=False)
    assert run(edit(without_a_rule)).step == round(6 * strength)
    if strength == 1:
        assert torch.equal(state.z_average, run(edit(without_a_rule)).z_average)


def test_the_same_edit_gives_the_same_latents():
    assert torch.equal(run(edit()).z_average, run(edit()).z_average)


def test_another_seed_gives_other_latents():
    other = Edit(
        StandIn(),
        clip(),
        source_prompt="a red ball",
        target_prompt="a blue ball",
        settings=SETTINGS,
        seed=5,
    )
    assert not torch.equal(run(edit()).z_average, run(other).z_average)


def test_a_resumed_edit_ends_at_the_same_latents(tmp_path):
    one_edit = edit()
    state = one_edit.advance(one_edit.advance(one_edit.start()))
    save_checkpoint(tmp_path, state, "identity")
    restored = load_checkpoint(tmp_path, "identity", CPU)
    resumed, undisturbed = run(edit(), restored), run(edit())
    assert torch.equal(resumed.z_average, undisturbed.z_average)
    assert resumed.gradient_norms == undisturbed.gradient_norms


def test_a_checkpoint_of_another_job_or_a_damaged_one_is_not_used(tmp_path):
    save_checkpoint(tmp_path, edit().start(), "identity")
    assert load_checkpoint(tmp_path, "other", CPU) is None
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    assert load_checkpoint(tmp_path, "identity", CPU) is None
    assert load_checkpoint(tmp_path / "missing", "identity", CPU) is None


def test_the_identity_depends_on_job_size_and_arithmetic():
    card = find_backbone("demo")
    base = identity_of("job", [card], (80, 48), ("cpu", "float32"))
    assert base == identity_of("job", [card], (80, 48), ("cpu", "float32"))
    assert base != identity_of("other job", [card], (80, 48), ("cpu", "float32"))
    assert base != identity_of("job", [card], (64, 64), ("cpu", "float32"))
    assert base != identity_of("job", [card], (80, 48), ("cuda", "bfloat16"))
    assert base != identity_of("job", [card, card], (80, 48), ("cpu", "float32"))


def test_another_arithmetic_is_another_edit(monkeypatch):
    base = machine.arithmetic(CPU, torch.float32)
    assert machine.arithmetic(CPU, torch.float32) == base
    assert machine.arithmetic(CPU, torch.bfloat16) != base
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
        assert machine.arithmetic(CPU, torch.float32) != base
    for name in ("torch", "diffusers", "transformers"):
        other = machine.versions() | {name: "0"}
        with monkeypatch.context() as patch:
            patch.setattr(machine, "versions", lambda other=other: other)
            assert machine.arithmetic(CPU, torch.float32) != base


def test_the_identity_depends_on_the_weights_and_not_on_their_size_alone(tmp_path):
    folder = shutil.copytree(find_backbone("demo").folder, tmp_path / "copy")
    facts = ("job", (80, 48), ("cpu", "float32"))
    base = identity_of(facts[0], [read_card(folder)], *facts[1:])
    assert base == identity_of(facts[0], [find_backbone("demo")], *facts[1:])
    retrain(folder)
    assert base != identity_of(facts[0], [read_card(folder)], *facts[1:])


def test_not_a_number_stops_and_names_the_step():
    class Broken(StandIn):
        def noise_pred(self, z_t, timestep, embeddings, **watched):
            prediction = super().noise_pred(z_t, timestep, embeddings, **watched)
            return prediction * float("nan") if len(self.calls) > 60 else prediction

    with pytest.raises(NumericalError, match=r"Step \d+: .*not finite"):
        run(edit(replace(SETTINGS, steps=50), backbone=Broken()))


class BrokenAt(StandIn):
    """Not a number from a model call on, at one timestep alone if one is given."""

    def __init__(self, timestep=None, *, after=0):
        super().__init__()
        self.timestep, self.after = timestep, after

    def noise_pred(self, z_t, timestep, embeddings, **watched):
        prediction = super().noise_pred(z_t, timestep, embeddings, **watched)
        is_broken = len(self.calls) > self.after and self.timestep in (None, timestep)
        return prediction * float("nan") if is_broken else prediction


def test_not_a_number_at_the_start_is_no_small_gradient():
    fixed = {"step_rule": "fixed", "effective_step": 0.01}
    timestep = edit()._probes.timesteps[0]
    with pytest.raises(NumericalError, match="errors in the source came out as nan"):
        edit(replace(SETTINGS, **fixed), backbone=BrokenAt(timestep)).start()
    calls = StandIn()
    edit(backbone=calls)._probes.preference(clip().z_source)
    broken = BrokenAt(timestep, after=len(calls.calls))
    with pytest.raises(NumericalError, match="typical gradient came out as nan"):
        edit(backbone=broken).start()


def test_not_a_number_in_a_probe_on_the_way_stops_too():
    settings = replace(SETTINGS, use_stopping_rule=True, probe_interval=2, timestep_max=0.1)
    whole = StandIn()
    one_edit = edit(settings, backbone=whole)
    one_edit.start()
    broken = BrokenAt(one_edit._probes.timesteps[-1], after=len(whole.calls))
    with pytest.raises(NumericalError, match="Step 2: the model's errors in the edit"):
        run(edit(settings, backbone=broken))


def test_a_cancel_is_honoured_before_the_next_model_call():
    calls = []

    def check():
        calls.append(1)
        if len(calls) > 12:
            raise CancelledError("Cancelled.")

    backbone = StandIn()
    with pytest.raises(CancelledError):
        run(edit(backbone=backbone, check=check))
    assert len(backbone.calls) <= 2 * len(calls)


@pytest.mark.parametrize(
    ("method", "branches"), [("dds", {2}), ("dreammotion", {1, 2}), ("assd", {2})]
)
def test_memory_of_a_long_clip_is_a_window_at_a_time(method, branches):
    settings = replace(SETTINGS, steps=2)
    calls = []
    for frames in (4, 40):
        backbone, options = StandIn(), image_of(method)
        run(edit(settings, frames=frames, backbone=backbone, **options))
        image = options["image_backbone"]
        calls.append({shape for shape, _ in backbone.calls + (image.calls if image else [])})
    assert calls[0] == calls[1] == {(count, 4, 3, 8, 8) for count in branches}


def test_window_borders_move_from_step_to_step():
    starts = set()
    one_edit = edit(frames=40)
    noises = one_edit._noise
    one_edit._noise = lambda window, step: (starts.add(window.start % 4), noises(window, step))[1]
    run(one_edit)
    assert len(starts) > 1


DELTA_METHODS = ["dds", "dreammotion", "assd"]


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("method", DELTA_METHODS)
def test_equal_prompts_leave_the_clip_bit_for_bit_with_every_delta_method(method, optimiser):
    settings = replace(SETTINGS, optimiser=optimiser, use_stopping_rule=True, probe_interval=2)
    for own in (MASKED, replace(MASKED, similarity_rule="fixed", spatial_weight=1e5)):
        settings = replace(settings, dreammotion=own, step_rule="fixed")
        state = run(edit(settings, target="a red ball", **image_of(method)))
        assert state.gradient_norms == (0.0,) * 6
        assert torch.equal(state.z_average, clip().z_source)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("method", ["sds", *DELTA_METHODS])
def test_a_mask_of_zeros_leaves_the_clip_and_ones_do_not(method, optimiser):
    settings = replace(SETTINGS, optimiser=optimiser, dreammotion=MASKED)
    for own in (MASKED, replace(MASKED, similarity_rule="fixed")):
        empty = replace(settings, dreammotion=own)
        state = run(edit(empty, mask=torch.zeros(6, 1, 8, 8), **image_of(method)))
        assert torch.equal(state.z_average, clip().z_source)
    state = run(edit(settings, **image_of(method)))
    assert not torch.equal(state.z_average, clip().z_source)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_dreammotion_moves_nothing_outside_a_mask_that_limits_all_its_terms(optimiser):
    mask = torch.zeros(6, 1, 8, 8)
    mask[:, :, :4] = 1
    inside = replace(SETTINGS, optimiser=optimiser, dreammotion=MASKED)
    state = run(edit(inside, mask=mask, method="dreammotion"))
    assert torch.equal(state.z_average[:, :, 4:], clip().z_source[:, :, 4:])


def test_dreammotion_as_printed_masks_the_edit_and_not_the_similarity():
    mask = torch.zeros(6, 1, 8, 8)
    mask[:, :, :4] = 1
    state = run(edit(mask=mask, method="dreammotion"))
    assert not torch.equal(state.z_average[:, :, 4:], clip().z_source[:, :, 4:])
    # Where nothing may change at all there is no step, whatever the rule for the weights.
    fixed = replace(SETTINGS, dreammotion=DreamMotionSettings(similarity_rule="fixed"))
    state = run(edit(fixed, mask=torch.zeros(6, 1, 8, 8), method="dreammotion"))
    assert torch.equal(state.z_average, clip().z_source)


def test_adam_with_similarity_outside_the_mask_is_refused():
    with pytest.raises(InvalidJobError, match="outside the mask as far as inside"):
        edit(replace(SETTINGS, optimiser="adam"), method="dreammotion")


def test_assd_without_an_image_model_says_so():
    with pytest.raises(InvalidJobError, match="there is no image model"):
        edit(method="assd")


def test_a_single_frame_has_no_temporal_term():
    state = edit(frames=1, method="dreammotion").start()
    assert state.term_weights[0] > 0
    assert state.term_weights[1] == 0


def test_dreammotion_without_its_terms_is_dds_bit_for_bit():
    without = DreamMotionSettings(spatial_share=0.0, temporal_share=0.0)
    plain = run(edit())
    state = run(edit(replace(SETTINGS, dreammotion=without), method="dreammotion"))
    assert torch.equal(state.z_average, plain.z_average)
    fixed = replace(without, similarity_rule="fixed", spatial_weight=0.0, temporal_weight=0.0)
    state = run(edit(replace(SETTINGS, dreammotion=fixed), method="dreammotion"))
    assert torch.equal(state.z_average, plain.z_average)


def test_assd_without_its_parts_is_dds_bit_for_bit():
    without = AssdSettings(smoothing_centre=1.0, self_weight=1.0, image_weight=0.0)
    state = run(edit(replace(SETTINGS, assd=without), method="assd"))
    assert torch.equal(state.z_average, run(edit()).z_average)


def test_the_terms_weights_are_measured_once_and_grow_with_their_shares():
    weak = edit(method="dreammotion").start()
    own = SETTINGS.dreammotion
    doubled = replace(
        own, spatial_share=2 * own.spatial_share, temporal_share=2 * own.temporal_share
    )
    strong = edit(replace(SETTINGS, dreammotion=doubled), method="dreammotion").start()
    assert weak.term_weights == pytest.approx([w / 2 for w in strong.term_weights])
    assert min(weak.term_weights) > 0
    one_edit = edit(method="dreammotion")
    state = run(one_edit, weak)
    assert state.term_weights == weak.term_weights


def test_the_similarity_terms_keep_the_clip_s_own_similarities():
    def apart(state):
        pairs = (
            (z, StandIn().embed([p]))
            for z, p in ((state.z_average, "a blue ball"), (clip().z_source, "a red ball"))
        )
        keys = []
        for latents, text in pairs:
            record = Recording(SITES)
            StandIn().noise_pred(latents[None], 500, text, record=record)
            keys.append(record.keys)
        return sum(float(spatial_self_similarity(keys[0][site], keys[1][site])) for site in SITES)

    shares = DreamMotionSettings(spatial_share=0.5, temporal_share=0.25)
    settings = replace(SETTINGS, steps=30, dreammotion=shares)
    held = run(edit(settings, method="dreammotion"))
    assert apart(held) < 0.8 * apart(run(edit(settings)))


def test_more_fused_layers_than_there_are_is_refused_with_the_number():
    with pytest.raises(InvalidJobError, match=r"fused_layers is 9; .* has 2 spatial"):
        edit(replace(SETTINGS, assd=AssdSettings(fused_layers=9)), method="assd")


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("method", ["sds", *DELTA_METHODS])
def test_every_method_resumes_to_the_same_latents(tmp_path, method, optimiser):
    settings = replace(SETTINGS, optimiser=optimiser, dreammotion=MASKED)
    whole = run(edit(settings, **image_of(method)))
    first = edit(settings, **image_of(method))
    state = first.start()
    for _ in range(3):
        state = first.advance(state)
    save_checkpoint(tmp_path, state, "mine")
    loaded = load_checkpoint(tmp_path, "mine", CPU)
    assert loaded.term_weights == state.term_weights
    resumed = run(edit(settings, **image_of(method)), loaded)
    assert torch.equal(resumed.z_average, whole.z_average)


def test_adam_moves_every_latent_by_the_step_size_at_first():
    state = run(edit(replace(SETTINGS, optimiser="adam", step_size=0.03, steps=1)))
    change = (state.z_target - clip().z_source).abs()
    assert change.max() == pytest.approx(0.03, rel=1e-3)
    assert change.median() == pytest.approx(0.03, rel=1e-3)
