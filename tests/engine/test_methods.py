# SPDX-License-Identifier: GPL-3.0-or-later
"""SDS, DreamMotion and ASSD against independent recomputations of their papers' equations."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.errors import NumericalError
from engine.guidance.assd import AdaptiveSliding, smoothed, smoothing_mask
from engine.guidance.base import WindowStep
from engine.guidance.dds import DeltaDenoising
from engine.guidance.dreammotion import DreamMotion
from engine.guidance.sds import ScoreDistillation
from engine.job import EditSettings
from engine.method_settings import AssdSettings, DreamMotionSettings
from tests.engine.stand_in import SITES, WORDS, StandIn, keys_of, predict, values_of

FRAMES, SHAPE = 4, (4, 3, 4, 5)
SOURCE, TARGET = "a red ball", "a blue ball"
NO_PARTS = {"smoothing_centre": 1.0, "self_weight": 1.0, "image_weight": 0.0}


class Case:
    """Two branches on the stand-in, and the pieces that every equation uses."""

    def __init__(self, *, equal=False, timestep=400, scale=7.5, distance=0.4):
        generator = torch.Generator().manual_seed(5)
        self.backbone = StandIn()
        self.timestep, self.scale = timestep, scale
        self.z_source = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        moved = distance * torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        self.z_target = self.z_source.clone() if equal else self.z_source + moved
        self.noise = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        self.mask = (torch.arange(FRAMES * 20).reshape(FRAMES, 1, 4, 5) % 3 > 0).double()
        self.prompts = (SOURCE, SOURCE if equal else TARGET)
        alpha_bar = self.backbone.alphas_cumprod[timestep].item()
        self.alpha, self.sigma = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)

        self.step = WindowStep(self.z_source, self.z_target, self.mask, self.noise, self.timestep)

    def dds(self):
        return DeltaDenoising(self.backbone, self.prompts, self.settings())

    def dreammotion(self, **own):
        settings = self.settings(dreammotion=DreamMotionSettings(**own))
        return DreamMotion(self.backbone, self.prompts, settings)

    def assd(self, image_backbone=None, **own):
        settings = self.settings(assd=AssdSettings(**NO_PARTS | own))
        return AdaptiveSliding(self.backbone, self.prompts, settings, image_backbone)

    def settings(self, **own):
        return EditSettings(guidance_scale=self.scale, **own)

    def noised(self, latents):
        return self.alpha * np.asarray(latents) + self.sigma * self.noise.numpy()

    def guided(self, latents, prompt, extra=0.0):
        """ε^ω in NumPy, `extra` added to both predictions."""
        z_t = self.noised(latents)
        prompt_pred = predict(z_t, self.timestep, WORDS[prompt]) + extra
        empty_pred = predict(z_t, self.timestep, WORDS[""]) + extra
        return empty_pred + self.scale * (prompt_pred - empty_pred)

    def delta(self):
        return self.guided(self.z_target, self.prompts[1]) - self.guided(
            self.z_source, self.prompts[0]
        )


def close(found, expected):
    return np.abs(found.numpy() - expected).max() <= 1e-6 * np.abs(expected).max()


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit @ unit.swapaxes(-1, -2)


def similarity_losses(case, z_target):
    """L_S-SSM and L_T-SSM of the paper, per entry of their matrices, mean over the sites."""
    spatial, temporal = [], []
    for site in SITES:
        k = keys_of(case.noised(z_target), WORDS[case.prompts[1]], site)
        s = keys_of(case.noised(case.z_source), WORDS[case.prompts[0]], site)
        spatial.append(np.mean((cosines(k) - cosines(s)) ** 2))
        temporal.append(np.mean((cosines(k.mean(axis=1)) - cosines(s.mean(axis=1))) ** 2))
    return np.mean(spatial), np.mean(temporal)


def slopes(loss, latents, step=1e-5):
    """Central differences of a function of latents."""
    gradient = np.zeros_like(latents)
    for index in np.ndindex(*latents.shape):
        ends = []
        for sign in (1, -1):
            moved = latents.copy()
            moved[index] += sign * step
            ends.append(loss(moved))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def test_score_distillation_is_the_prediction_less_the_noise():
    case = Case()
    guidance = ScoreDistillation(case.backbone, case.prompts, case.settings())
    found = guidance.gradient(case.step)
    expected = (case.guided(case.z_target, TARGET) - case.noise.numpy()) * case.mask.numpy()
    assert close(found, expected)
    assert not guidance.reference(case.step)


@pytest.mark.parametrize("mask_scope", ["dds", "all"])
@pytest.mark.parametrize(("spatial", "temporal"), [(30.0, 0.0), (0.0, 200.0), (30.0, 200.0)])
def test_dreammotion_is_the_papers_sum_of_three_gradients(spatial, temporal, mask_scope):
    case = Case()
    found = case.dreammotion(mask_scope=mask_scope).gradient(case.step, (spatial, temporal))

    def loss(latents):
        one, other = similarity_losses(case, latents)
        return spatial * one + temporal * other

    similarity = slopes(loss, case.z_target.numpy())
    mask = case.mask.numpy()
    expected = case.delta() * mask + similarity * (mask if mask_scope == "all" else 1)
    assert np.abs(found.numpy() - expected).max() <= 1e-6 * np.abs(case.delta()).max()
    # The similarity is no small part of what is compared.
    assert np.abs(similarity).max() > 0.1 * np.abs(case.delta()).max()


def test_dreammotion_without_similarity_is_the_delta_denoising_score_bit_for_bit():
    case = Case()
    found = case.dreammotion().gradient(case.step, (0.0, 0.0))
    assert torch.equal(found, case.dds().gradient(case.step))


def test_dreammotion_takes_four_passes_of_one_shape():
    case = Case()
    case.dreammotion().gradient(case.step, (1.0, 1.0))
    assert case.backbone.calls == [((1, *SHAPE), 400)] * 4


def test_the_papers_plain_weights_are_used_without_calibration():
    case = Case()
    guidance = case.dreammotion(similarity_rule="fixed", spatial_weight=3.0, temporal_weight=5.0)
    assert not guidance.needs_calibration
    calibrated = case.dreammotion()
    assert torch.equal(guidance.gradient(case.step), calibrated.gradient(case.step, (3.0, 5.0)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_similarity_that_is_not_finite_stops_the_calibration(value, monkeypatch):
    case = Case()
    guidance = case.dreammotion()
    monkeypatch.setattr(guidance, "term_norms", lambda _step: (1.0, value, 2.0))
    with pytest.raises(NumericalError, match=r"V-DDS, S-SSM and T-SSM came out as 1, (nan|inf) "):
        guidance.calibrate([case.step])


def test_the_norms_of_the_terms_are_those_of_their_gradients():
    case = Case()
    delta, spatial, temporal = case.dreammotion().term_norms(case.step)
    assert delta == pytest.approx(np.linalg.norm(case.delta() * case.mask.numpy()), rel=1e-6)
    for found, number in ((spatial, 0), (temporal, 1)):
        gradient = slopes(
            lambda z, number=number: similarity_losses(case, z)[number], case.z_target.numpy()
        )
        assert found == pytest.approx(np.linalg.norm(gradient), rel=1e-4)


def numpy_smoothed(prediction, centre):
    """Eq. 8 with renormalised ends, frame by frame."""
    side, frames = (1 - centre) / 2, []
    for index in range(len(prediction)):
        near = [(index, centre)]
        near += [(i, side) for i in (index - 1, index + 1) if 0 <= i < len(prediction)]
        frames.append(sum(w * prediction[i] for i, w in near) / sum(w for _, w in near))
    return np.stack(frames)


@pytest.mark.parametrize("smoothing_of", ["prediction", "residual"])
@pytest.mark.parametrize("reading", ["below", "above"])
@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_assd_is_the_papers_equations_8_to_10(threshold, reading, smoothing_of):
    case = Case()
    own = {"threshold": threshold, "reading": reading, "smoothing_of": smoothing_of}
    found = case.assd(smoothing_centre=0.5, **own).gradient(case.step)
    reference, edit = case.guided(case.z_source, SOURCE), case.guided(case.z_target, TARGET)
    size = np.abs(edit - reference)
    limit = size.max(axis=0) - threshold * size.std()
    m = size < limit if reading == "below" else size > limit
    noise = case.noise.numpy() * (smoothing_of == "residual")
    smooth = numpy_smoothed(reference - noise, 0.5) + noise
    expected = m * (edit - smooth) + (1 - m) * (edit - reference)
    assert close(found, expected * case.mask.numpy())
    assert 0 < m.mean() < 1


def test_with_one_noise_for_all_frames_both_ways_of_smoothing_are_one():
    case = Case()
    noise = case.noise[:1].expand_as(case.noise).contiguous()
    step = dataclasses.replace(case.step, noise=noise)
    ways = [
        case.assd(smoothing_centre=0.5, smoothing_of=way).gradient(step)
        for way in ("prediction", "residual")
    ]
    assert torch.allclose(*ways, rtol=0, atol=1e-12)


def test_assd_fuses_the_target_branch_with_the_source_branch_s_values():
    case = Case()
    found = case.assd(self_weight=0.3, fused_layers=1).gradient(case.step)
    own, other = (values_of(case.noised(z)) for z in (case.z_target, case.z_source))
    change = (0.7 * (other - own)).swapaxes(1, 2).reshape(SHAPE)
    edit = case.guided(case.z_target, TARGET, extra=0.2 * change)
    assert close(found, (edit - case.guided(case.z_source, SOURCE)) * case.mask.numpy())


def test_assd_adds_the_image_model_s_delta_denoising_score():
    case = Case()
    image = StandIn()
    found = case.assd(image, image_weight=0.6).gradient(case.step)
    assert close(found, 1.6 * case.delta() * case.mask.numpy())
    assert image.calls


def test_assd_without_its_parts_is_the_delta_denoising_score_bit_for_bit():
    case = Case()
    assert torch.equal(case.assd().gradient(case.step), case.dds().gradient(case.step))


EVERY_PART = {"smoothing_centre": 0.5, "self_weight": 0.3, "image_weight": 1.0}


def test_equal_branches_give_exactly_zero_with_every_part_at_work():
    case = Case(equal=True)
    assert (case.dds().gradient(case.step) == 0).all()
    assert (case.dreammotion().gradient(case.step, (10.0, 10.0)) == 0).all()
    for reading in ("below", "above"):
        guidance = case.assd(StandIn(), reading=reading, **EVERY_PART)
        assert (guidance.gradient(case.step) == 0).all()


def parts_of(case):
    """Every method with a source branch: its guidance, its weights, what it takes from there."""
    fused = [start + site for start in ("keys.", "values.") for site in SITES]
    return {
        "dds": (case.dds(), (), ["guided"]),
        "dreammotion": (
            case.dreammotion(),
            (3.0, 5.0),
            ["single", *("keys." + site for site in SITES)],
        ),
        "dreammotion without similarity": (case.dreammotion(), (0.0, 0.0), ["guided"]),
        "assd": (case.assd(StandIn(), **EVERY_PART), (), ["guided", *fused, "image.guided"]),
    }


@pytest.mark.parametrize("name", parts_of(Case()))
def test_a_step_with_a_known_reference_is_the_same_step_bit_for_bit(name):
    case = Case()
    guidance, weights, names = parts_of(case)[name]
    plain = guidance.gradient(case.step, weights)
    reference = guidance.reference(case.step, weights)
    assert sorted(reference) == sorted(names)
    whole = len(case.backbone.calls)
    assert torch.equal(guidance.gradient(case.step, weights, reference), plain)
    target_passes = len(case.backbone.calls) - whole
    assert guidance.reference(case.step, weights, reference) == reference
    assert len(case.backbone.calls) == whole + target_passes  # nothing was made again


@pytest.mark.parametrize("name", ["dreammotion", "assd"])
def test_what_is_missing_of_a_reference_is_made_again(name):
    case = Case()
    guidance, weights, _ = parts_of(case)[name]
    whole = guidance.reference(case.step, weights)
    part = {key: value for key, value in whole.items() if key.startswith(("single", "image"))}
    passes = len(case.backbone.calls)
    again = guidance.reference(case.step, weights, part)
    assert len(case.backbone.calls) == passes + 1  # without the pass of dreammotion's empty prompt
    assert sorted(again) == sorted(whole)
    assert all(torch.equal(again[key], whole[key]) for key in whole)


def test_smoothing_keeps_a_clip_that_does_not_change_and_quiet_places_are_left_alone():
    still = torch.randn(1, 2, 3, 3).expand(5, -1, -1, -1)
    assert torch.allclose(smoothed(still, 0.5), still, atol=1e-6)
    delta = torch.zeros(5, 1, 2, 2)
    delta[2, 0, 0, 0] = 1.0
    mask = smoothing_mask(delta, 0.5, "below")
    assert mask[:, 0, 0, 0].tolist() == [True, True, False, True, True]
    assert not mask[:, 0, 1, 1].any()
