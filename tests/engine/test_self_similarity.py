# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-similarity matching against the plain form of the paper's equations in float64."""

import numpy as np
import pytest
import torch

from engine.guidance.self_similarity import spatial_self_similarity, temporal_self_similarity


def _random_shapes(count, seed):
    """Frames, places and channels, both small and large, either of the last two the larger."""
    rng = np.random.Generator(np.random.PCG64(seed))
    sizes = np.round(2 ** rng.uniform(1, [2, 8, 7], size=(count, 3))).astype(int)
    return [(int(frames), int(places), int(channels)) for frames, places, channels in sizes]


SHAPES = [(1, 2, 2), (1, 5, 3), (3, 64, 64), (2, 12, 48), *_random_shapes(24, seed=1)]
TURNED_SHAPES = [(2, 60, 24), (1, 200, 32), (2, 16, 40), *_random_shapes(8, seed=2)]
PERTURBATIONS = [1.0, 1e-1, 1e-2, 1e-3, 1e-4]


def _cosines(vectors):
    """(rows, channels) → (rows, rows)."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def _spatial(target, source):
    """S-SSM as printed, divided by the matrix's entries."""
    pairs = zip(target, source, strict=True)
    return np.mean([np.mean((_cosines(k) - _cosines(s)) ** 2) for k, s in pairs])


def _temporal(target, source):
    return np.mean((_cosines(target.mean(axis=1)) - _cosines(source.mean(axis=1))) ** 2)


def _plain(target, source):
    """The same in float64 autograd, with the (places)² matrices."""

    def cosines(keys):
        unit = keys / keys.norm(dim=-1, keepdim=True)
        return unit @ unit.transpose(-1, -2)

    return (cosines(target) - cosines(source)).square().mean()


def _keys(shape, perturbation, kind, seed):
    """Source keys, and target keys that are perturbed by noise, or by turning single vectors."""
    rng = np.random.Generator(np.random.PCG64(seed))
    source = rng.normal(size=shape) * rng.uniform(0.5, 3, size=(*shape[:2], 1))
    noise = rng.normal(size=shape)
    if kind == "noise":
        return source, source + perturbation * noise
    # Turned by the angle `perturbation` towards a random direction, length kept.
    unit = source / np.linalg.norm(source, axis=-1, keepdims=True)
    across = noise - unit * (noise * unit).sum(-1, keepdims=True)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    length = np.linalg.norm(source, axis=-1, keepdims=True)
    return source, length * (np.cos(perturbation) * unit + np.sin(perturbation) * across)


@pytest.mark.parametrize("kind", ["noise", "turn"])
@pytest.mark.parametrize("perturbation", PERTURBATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient_equal_the_plain_form_at_every_distance(shape, perturbation, kind):
    source, target = _keys(shape, perturbation, kind, seed=sum(shape))
    # Both forms get what float32 can hold: the keys, not their difference, are rounded.
    source, target = (torch.from_numpy(keys).float() for keys in (source, target))
    found = target.clone().requires_grad_()
    value = spatial_self_similarity(found, source)
    value.backward()
    exact = target.double().requires_grad_()
    expected = _plain(exact, source.double())
    expected.backward()
    assert expected.item() == pytest.approx(
        _spatial(exact.detach().numpy(), source.double().numpy())
    )
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    error = (found.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert float(error) <= 1e-4


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
@pytest.mark.parametrize("shape", [(6, 50, 16), (16, 9, 8), (3, 120, 70)])
def test_the_temporal_form_equals_the_papers_equation(shape, perturbation):
    source, target = _keys(shape, perturbation, "noise", seed=9)
    source, target = (torch.from_numpy(keys).float() for keys in (source, target))
    found = target.clone().requires_grad_()
    value = temporal_self_similarity(found, source)
    value.backward()
    assert value.item() == pytest.approx(
        _temporal(target.double().numpy(), source.double().numpy()), rel=1e-5
    )
    exact = target.double().requires_grad_()
    _plain(exact.mean(dim=1), source.double().mean(dim=1)).backward()
    assert float((found.grad.double() - exact.grad).norm() / exact.grad.norm()) <= 1e-4


@pytest.mark.parametrize("match", [spatial_self_similarity, temporal_self_similarity])
def test_equal_keys_give_exactly_zero_and_no_gradient(match):
    keys = torch.randn(3, 40, 16, generator=torch.Generator().manual_seed(1))
    target = keys.clone().requires_grad_()
    value = match(target, keys)
    value.backward()
    assert value.item() == 0
    assert (target.grad == 0).all()


def _turned(keys, seed):
    """All keys turned together."""
    generator = torch.Generator().manual_seed(seed)
    channels = keys.shape[-1]
    turn = torch.linalg.qr(torch.randn(channels, channels, generator=generator).double())[0]
    return (keys.double() @ turn).float()


@pytest.mark.parametrize("shape", TURNED_SHAPES)
def test_a_turn_of_all_keys_together_changes_no_similarity(shape):
    keys = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    turned = _turned(keys, 3).requires_grad_()
    value = spatial_self_similarity(turned, keys)
    value.backward()
    # What is left is the rounding of the keys themselves, about 1e-7 each.
    assert 0 <= value.item() < 1e-12
    changed = torch.randn(shape, generator=torch.Generator().manual_seed(4)).requires_grad_()
    other = spatial_self_similarity(changed, keys)
    other.backward()
    assert other.item() > 1e-2
    assert turned.grad.abs().max() < 2e-7 * changed.grad.abs().max()


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
@pytest.mark.parametrize("shape", TURNED_SHAPES)
def test_a_turn_of_all_keys_hides_no_other_difference(shape, perturbation):
    source, target = _keys(shape, perturbation, "noise", seed=5)
    source, target = torch.from_numpy(source).float(), _turned(torch.from_numpy(target), 6)
    found, exact = target.clone().requires_grad_(), target.double().requires_grad_()
    value, expected = spatial_self_similarity(found, source), _plain(exact, source.double())
    value.backward()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert float((found.grad.double() - exact.grad).norm() / exact.grad.norm()) <= 1e-4


def test_the_length_of_a_key_does_not_matter():
    keys = torch.randn(2, 30, 8, generator=torch.Generator().manual_seed(3))
    assert float(spatial_self_similarity(5 * keys, keys)) < 1e-12


def test_half_precision_keys_are_compared_in_single_precision():
    keys = torch.randn(2, 30, 8, generator=torch.Generator().manual_seed(4))
    target = (keys + 0.01).bfloat16().requires_grad_()
    value = spatial_self_similarity(target, keys.bfloat16())
    value.backward()
    assert value.dtype == torch.float32
    assert target.grad.dtype == torch.bfloat16
