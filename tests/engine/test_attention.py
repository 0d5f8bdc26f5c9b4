# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking into the U-Net's self-attention and fusing it, on the demo backbone; what it costs."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from engine.backbones.base import Fusion, Recording
from engine.backbones.loading import load_backbone
from engine.errors import InvalidJobError
from engine.guidance.base import WindowStep
from engine.guidance.dds import DeltaDenoising
from engine.guidance.dreammotion import DreamMotion, chosen_sites
from engine.job import EditSettings
from engine.registry import find_backbone


@pytest.fixture(scope="module")
def demo():
    return load_backbone(find_backbone("demo"), device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def z_t():
    return torch.randn(1, 8, 4, 12, 16, generator=torch.Generator().manual_seed(2))


def test_the_decoder_s_spatial_self_attention_is_found_in_order(demo):
    assert demo.sites == (
        "up_blocks.1.attentions.0",
        "up_blocks.1.attentions.1",
        "up_blocks.2.attentions.0",
        "up_blocks.2.attentions.1",
    )


@torch.no_grad()
def test_recording_changes_nothing_and_keeps_the_keys_of_every_frame(demo, z_t):
    text = demo.embed(["a red ball"])
    record = Recording(demo.sites, with_values=True)
    watched = demo.noise_pred(z_t, 300, text, record=record)
    assert torch.equal(watched, demo.noise_pred(z_t, 300, text))
    places = {"up_blocks.1": 6 * 8, "up_blocks.2": 12 * 16}
    for site in demo.sites:
        channels = record.keys[site].shape[-1]
        assert record.keys[site].shape == (8, places[site[:11]], channels)
        assert record.values[site].shape == record.keys[site].shape
    # No hook is left behind.
    kept = dict(record.keys)
    demo.noise_pred(z_t + 1, 300, text)
    assert all(record.keys[site] is kept[site] for site in demo.sites)


@torch.no_grad()
def test_fusing_a_pass_with_itself_changes_no_bit_and_with_another_one_does(demo, z_t):
    text = demo.embed(["a red ball", ""])
    both = z_t.expand(2, -1, -1, -1, -1).contiguous()
    record, other = (Recording(demo.sites[-2:], with_values=True) for _ in range(2))
    plain = demo.noise_pred(both, 300, text, record=record)
    assert torch.equal(demo.noise_pred(both, 300, text, fuse=Fusion(record, 0.3)), plain)
    demo.noise_pred(both + 1, 300, text, record=other)
    assert torch.equal(demo.noise_pred(both, 300, text, fuse=Fusion(other, 1.0)), plain)
    assert not torch.allclose(demo.noise_pred(both, 300, text, fuse=Fusion(other, 0.3)), plain)
    assert torch.equal(demo.noise_pred(both, 300, text), plain)


@torch.no_grad()
def test_the_fused_attention_is_the_papers_equation(demo, z_t):
    site = demo.sites[-1]
    layer = demo.unet.get_submodule(f"{site}.transformer_blocks.0.attn1")
    hidden = torch.randn(3, 20, layer.to_q.in_features)
    other = torch.randn(3, 20, layer.to_q.in_features)
    record = Recording([site], with_values=True)
    record.keys[site], record.values[site] = layer.to_k(other), layer.to_v(other)

    def attend(keys, values):
        split = [
            x.unflatten(-1, (layer.heads, -1)).transpose(1, 2).double()
            for x in (layer.to_q(hidden), keys, values)
        ]
        weights = functional.softmax(split[0] @ split[1].mT / split[0].shape[-1] ** 0.5, dim=-1)
        return (weights @ split[2]).transpose(1, 2).flatten(2)

    own = attend(layer.to_k(hidden), layer.to_v(hidden))
    mixed = 0.3 * own + 0.7 * attend(record.keys[site], record.values[site])
    expected = layer.to_out[0](mixed.float())
    from engine.backbones.attention import fused

    with fused(demo.unet, Fusion(record, 0.3)):
        found = layer(hidden)
    assert torch.allclose(found, expected, atol=1e-5)


def _flops(work):
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_a_dreammotion_step_costs_four_passes_and_one_backward(demo, z_t):
    prompts, settings = ("a red ball", "a blue ball"), EditSettings(guidance_scale=7.5)
    z, mask = z_t[0], torch.ones_like(z_t[0, :, :1])
    step = WindowStep(z, z + 0.1, mask, torch.randn_like(z), 400)
    text = demo.embed(["a red ball"])
    with torch.no_grad():
        one = _flops(lambda: demo.noise_pred(z_t, 400, text))
    dds = DeltaDenoising(demo, prompts, settings)
    assert _flops(lambda: dds.gradient(step)) == pytest.approx(4 * one, rel=1e-3)
    dreammotion = DreamMotion(demo, prompts, settings)
    whole = _flops(lambda: dreammotion.gradient(step, (1.0, 1.0)))
    assert 4 * one < whole <= 4 * one + 1.1 * one


def _kept_for_backward(work):
    """Bytes of the distinct tensors that a graph saves."""
    kept = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = work()
    return found, sum(kept.values())


def test_checkpointing_changes_no_bit_and_keeps_much_less(demo, z_t):
    text = demo.embed(["a red ball"])
    results = {}
    for checkpointing in (False, True):
        demo.checkpointing = checkpointing
        try:
            start = z_t.clone().requires_grad_()
            record = Recording(demo.sites)

            def run(start=start, record=record):
                return demo.noise_pred(start, 300, text, record=record)

            prediction, kept = _kept_for_backward(run)
            loss = sum(keys.square().mean() for keys in record.keys.values())
            (gradient,) = torch.autograd.grad(loss, start)
            results[checkpointing] = (prediction.detach(), gradient, kept)
        finally:
            demo.checkpointing = False
    assert torch.equal(results[True][0], results[False][0])
    assert torch.equal(results[True][1], results[False][1])
    assert results[False][1].abs().sum() > 0
    assert results[True][2] < 0.3 * results[False][2]


def test_key_sites_are_chosen_by_the_beginnings_of_their_names(demo):
    assert chosen_sites("up_blocks", demo.sites) == demo.sites
    assert chosen_sites("up_blocks.2", demo.sites) == demo.sites[2:]
    assert chosen_sites("up_blocks.2.attentions.1, up_blocks.1", demo.sites) == (
        *demo.sites[:2],
        demo.sites[3],
    )
    for wrong in ("down_blocks", "up_blocks,mid", " , "):
        with pytest.raises(InvalidJobError, match="key_sites"):
            chosen_sites(wrong, demo.sites)
