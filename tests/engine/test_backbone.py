# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader of text-to-video folders: what it reads, what it refuses, what stays equal."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.backbones.diffusers_folder import SCHEDULERS
from engine.backbones.loading import (
    LOADERS,
    LoadedBackbones,
    choose_device,
    choose_dtype,
    is_out_of_memory,
    load_backbone,
)
from engine.errors import BackboneError, DeviceError
from engine.model_folder import SCHEDULER_CLASSES, UNET_CLASSES
from engine.registry import find_backbone, installed_backbones, read_card
from tests.engine.folders import retrain

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def demo():
    return load_backbone(find_backbone("demo"), device=CPU, dtype=torch.float32)


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(find_backbone("demo").folder, tmp_path / "modèle copy")


def load(folder):
    return load_backbone(read_card(folder), device=CPU, dtype=torch.float32)


def change_json(path, **changes):
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | changes), encoding="utf-8")


def test_the_demo_backbone_is_installed_and_recommends_settings_for_dds():
    cards = {card.id: card for card in installed_backbones()}
    assert cards["demo"].recommended("dds").steps > 0
    assert "small world" in cards["demo"].note


def test_encoding_and_decoding_come_back_close_to_the_picture(demo):
    from demo.sampling import sample_spec
    from demo.world import render

    frames = torch.from_numpy(render(sample_spec(5)).frames).permute(0, 3, 1, 2) / 255
    latents = demo.encode(frames)
    assert latents.shape == (8, 4, 16, 16)
    assert 0.5 < float(latents.std()) < 2
    error = (demo.decode(latents) - frames).square().mean()
    assert float(-10 * error.log10()) > 22


def test_equal_frames_encode_and_decode_to_equal_numbers_wherever_they_stand(demo):
    frame = torch.rand(1, 3, 48, 80)
    latents = demo.encode(frame.expand(5, -1, -1, -1))
    assert all(torch.equal(latents[0], other) for other in latents)
    decoded = demo.decode(latents)
    assert all(torch.equal(decoded[0], other) for other in decoded)


def test_equal_prompts_give_bit_equal_embeddings(demo):
    first, other, second = demo.embed(["a red ball", "a blue ball", "a red ball"])
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@torch.no_grad()
def test_separate_calls_of_one_shape_are_bit_equal_on_one_and_two_threads(demo):
    z_t = torch.randn(2, 8, 4, 12, 20)
    embeddings = demo.embed(["a red ball", ""])
    for threads in (1, 2):
        torch.set_num_threads(threads)
        first = demo.noise_pred(z_t, 400, embeddings)
        assert torch.equal(first, demo.noise_pred(z_t, 400, embeddings))
    torch.set_num_threads(1)


@torch.no_grad()
def test_the_v_prediction_is_turned_into_noise(demo):
    """At high noise the sample is nearly the noise itself, and so must the prediction be."""
    z_t = torch.randn(1, 8, 4, 16, 16)
    prediction = demo.noise_pred(z_t, 990, demo.embed([""]))
    assert float((prediction - z_t).abs().mean()) < 0.1


def test_an_epsilon_folder_is_read_by_the_same_code(folder, demo):
    change_json(folder / "scheduler" / "scheduler_config.json", prediction_type="epsilon")
    with torch.no_grad():
        z_t, embeddings = torch.randn(1, 2, 4, 16, 16), demo.embed([""])
        as_epsilon = load(folder).noise_pred(z_t, 500, embeddings)
        alpha_t, sigma_t = demo.alpha_sigma(500)
        expected = alpha_t * as_epsilon + sigma_t * z_t
        assert torch.allclose(demo.noise_pred(z_t, 500, embeddings), expected, atol=1e-6)


def test_what_the_folder_lacks_is_refused_before_anything_is_loaded(folder):
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(BackboneError, match=r"incomplete: config\.json is missing"):
        load(folder)


def test_the_kinds_and_schedules_that_pass_are_those_that_can_be_loaded():
    found = {kind: loader.unet_class.__name__ for kind, loader in LOADERS.items()}
    assert found == UNET_CLASSES
    assert tuple(SCHEDULERS) == SCHEDULER_CLASSES


def test_weights_that_differ_from_their_checksum_are_refused(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackboneError, match="is damaged: its checksum"):
        load(folder)


def test_cut_off_weights_without_a_checksum_are_refused(folder):
    change_json(folder / "delta_strip.json", files=[])
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BackboneError, match="its header says"):
        load(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_that_lacks_a_tensor_is_refused_not_filled_with_random_numbers(folder, part):
    change_json(folder / "delta_strip.json", files=[])
    path = next((folder / part).glob("*.safetensors"))
    tensors = load_file(path)
    del tensors[sorted(tensors)[0]]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"missing keys|cannot be loaded"):
        load(folder)


def test_a_broken_tokenizer_is_refused(folder):
    (folder / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load(folder)


@pytest.mark.parametrize("change", [{"window_frames": 0}, {"working_pixels": -5}])
def test_a_card_with_impossible_numbers_is_refused(folder, change):
    change_json(folder / "delta_strip.json", **change)
    with pytest.raises(BackboneError, match=f"{next(iter(change))} is"):
        read_card(folder)


def test_the_allocators_errors_of_all_devices_count_as_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (allocated 9 GB)"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_a_folder_without_a_card_or_with_a_damaged_one_is_refused(tmp_path, folder):
    with pytest.raises(BackboneError, match=r"neither delta_strip\.json nor model_index\.json"):
        find_backbone(str(tmp_path))
    change_json(folder / "delta_strip.json", window=8)
    with pytest.raises(BackboneError, match="unknown field 'window'"):
        find_backbone(str(folder))


def test_the_same_backbone_is_kept_and_unloaded_on_request():
    kept = LoadedBackbones()
    card = find_backbone("demo")
    first = kept.get(card, device=CPU, dtype=torch.float32)
    assert kept.get(card, device=CPU, dtype=torch.float32) is first
    kept.unload()
    assert kept.get(card, device=CPU, dtype=torch.float32) is not first


def test_a_kept_backbone_is_loaded_again_when_its_folder_changes(folder):
    kept = LoadedBackbones()
    first = kept.get(read_card(folder), device=CPU, dtype=torch.float32)
    retrain(folder)
    assert kept.get(read_card(folder), device=CPU, dtype=torch.float32) is not first


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match="no cuda device"):
        choose_device("cuda")
    assert choose_dtype("auto", choose_device("cpu")) == torch.float32
