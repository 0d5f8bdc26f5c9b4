# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory presets: what they do, what the automatic one chooses, and that no pixel changes."""

from __future__ import annotations

import pytest
import torch

from engine.backbones.loading import LoadedBackbones, load_backbone
from engine.backbones.memory import ALL_ON_DEVICE, PRESETS, MemoryUse, choose, memory_use
from engine.registry import find_backbone

DEVICE = torch.device("cpu", 0)
"""The CPU by another name than main memory's, so that the moves can be told apart."""


def places(backbone, monkeypatch) -> list[tuple[str, str]]:
    """Every later move of a part: (part, where)."""
    moves: list[tuple[str, str]] = []
    parts = {"unet": backbone.unet, "vae": backbone._vae, "text": backbone._text_encoder}
    for name, part in parts.items():

        def move(where, name=name, part=part):
            moves.append((name, str(where)))
            return part

        monkeypatch.setattr(part, "to", move)
    return moves


def work(backbone) -> list[torch.Tensor]:
    """One round through all parts, and a backward pass."""
    frames = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    latents = backbone.encode(frames)
    text = backbone.embed(["a red ball"])
    leaf = latents.clone().requires_grad_(True)
    noise = backbone.noise_pred((leaf * 1)[None], 500, text)
    (gradient,) = torch.autograd.grad(noise.square().mean(), leaf)
    return [latents, text, noise.detach(), gradient, backbone.decode(latents)]


def loaded(memory):
    card = find_backbone("demo")
    return load_backbone(card, device=DEVICE, dtype=torch.float32, memory=memory)


def test_one_part_at_a_time_is_on_the_device(monkeypatch):
    backbone = loaded(PRESETS["medium"])
    moves = places(backbone, monkeypatch)
    frames = torch.rand(2, 3, 32, 32)
    latents = backbone.encode(frames)
    backbone.decode(latents)
    backbone.embed(["a ball"])
    assert moves == [("vae", "cpu:0"), ("vae", "cpu"), ("text", "cpu:0")]


def test_with_high_nothing_ever_moves(monkeypatch):
    backbone = loaded(PRESETS["high"])
    moves = places(backbone, monkeypatch)
    work(backbone)
    assert moves == []


def test_no_preset_changes_a_bit():
    expected = work(loaded(ALL_ON_DEVICE))
    for preset in ("medium", "low"):
        for one, other in zip(expected, work(loaded(PRESETS[preset])), strict=True):
            assert torch.equal(one, other), preset


def test_low_keeps_less_for_the_backward_pass():
    def kept(memory) -> int:
        backbone = loaded(memory)
        latents = torch.rand(8, backbone.latent_channels, 8, 8, requires_grad=True)
        text = backbone.embed(["a ball"])
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.nbytes) or tensor, lambda tensor: tensor
        ):
            backbone.noise_pred((latents * 1)[None], 500, text)
        return sum(sizes)

    assert kept(PRESETS["low"]) < kept(PRESETS["high"]) / 2


@pytest.mark.parametrize(
    ("weights_gb", "free_gb", "preset"),
    [(4, 24, "high"), (4, 8, "high"), (4, 7, "medium"), (4, 5, "medium"), (4, 4.5, "low")],
)
def test_the_automatic_choice_follows_the_free_memory(weights_gb, free_gb, preset):
    assert choose(int(weights_gb * 1e9), int(free_gb * 1e9)) == PRESETS[preset]


def test_on_a_cpu_nothing_moves_because_there_is_nowhere_to_go():
    folder, cpu = find_backbone("demo").folder, torch.device("cpu")
    assert memory_use("auto", folder, cpu) == memory_use("medium", folder, cpu) == ALL_ON_DEVICE
    assert memory_use("low", folder, cpu) == MemoryUse(recomputes=True)


def test_kept_backbones_are_loaded_with_the_preset():
    kept = LoadedBackbones("low")
    backbone = kept.get(find_backbone("demo"), device=DEVICE, dtype=torch.float32)
    assert backbone._memory == MemoryUse(recomputes=True)
