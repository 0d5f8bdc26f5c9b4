# SPDX-License-Identifier: GPL-3.0-or-later
"""The training of the demo backbone: a small one from clips to a model, interrupted and not."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from demo.training import clips, denoiser, stages
from demo.training.autoencoder import _mix
from demo.training.folder import STAGES, FolderError, claim
from demo.training.loop import Budget, OutOfTime, train
from demo.training.models import make_tokenizer
from demo.training.plan import FULL, REFINE, SMOKE, Schedule
from demo.training.trainee import Trainee
from demo.training.workers import Worker
from engine.backbones.loading import load_backbone
from engine.registry import MODELS_FOLDER, read_card
from tests.unit.processes import wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
ALONE = Worker(0, 1, torch.device("cpu"))


def train_smoke(folder, *options, processes=2):
    """Start the training as a user does."""
    command = [sys.executable, "-m", "demo.training", str(folder), "--plan", "smoke", *options]
    return subprocess.run(
        [*command, "--processes", str(processes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def unet_of(folder):
    return (folder / "model" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A folder after the whole training by two processes."""
    folder = tmp_path_factory.mktemp("training")
    done = train_smoke(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Trained: {folder / 'model'}" in done.stdout
    return folder


def test_the_trained_model_is_a_backbone_that_loads_and_predicts(smoke):
    backbone = load_backbone(
        read_card(smoke / "model"), device=torch.device("cpu"), dtype=torch.float32
    )
    latents = torch.zeros(1, 8, 4, 16, 16)
    assert backbone.noise_pred(latents, 500, backbone.embed(["a red ball"])).isfinite().all()
    assert backbone.token_limit == SMOKE.token_limit


def test_the_log_has_a_line_with_loss_time_and_rate_for_every_stage(smoke):
    for stage in STAGES:
        lines = [json.loads(line) for line in (smoke / f"{stage}.jsonl").read_text().splitlines()]
        assert lines[-1]["step"] == getattr(SMOKE, stage).steps
        assert lines[-1]["loss"] > 0
        assert lines[-1]["seconds"] > 0
        assert lines[-1]["learning_rate"] > 0
    assert 0 < lines[-1]["object"] < 10  # the object's part of the last stage's error
    assert (smoke / "reconstructions.png").is_file()
    assert (smoke / "samples.png").is_file()


def test_an_interrupted_training_ends_with_the_same_model(smoke, tmp_path):
    """Stopped in the autoencoder, at nearly pure noise, and in the clips, beside an image step."""
    total = sum(getattr(SMOKE, stage).steps for stage in STAGES)
    before_prior = SMOKE.autoencoder.steps + SMOKE.images.steps
    for steps in (4, before_prior - 4 + 1, SMOKE.prior.steps - 1 + 1):
        done = train_smoke(tmp_path, "--steps", str(steps))
        assert done.returncode == 3, done.stderr[-2000:]
        total -= steps
    assert total == SMOKE.video.steps - 1
    assert train_smoke(tmp_path).returncode == 0
    assert unet_of(tmp_path) == unet_of(smoke)


@pytest.mark.parametrize(
    ("images_only", "dropout", "are_there"),
    [(False, 0.0, True), (True, 0.0, False), (False, 1.0, False)],
)
def test_wrong_colours_are_in_the_noise_of_captioned_clips_in_the_last_stage(
    smoke, monkeypatch, images_only, dropout, are_there
):
    noises = []

    def keep(_parts, _worker, latents, noise, *_others):
        noises.append(noise)
        return torch.zeros_like(latents), torch.zeros_like(latents)

    monkeypatch.setattr(denoiser, "predict_velocity", keep)
    video = dataclasses.replace(SMOKE.video, batch=16)
    plan = dataclasses.replace(SMOKE, video=video, caption_dropout=dropout)
    parts = stages._untrained(plan)
    for spread in (0.0, 1.0):
        coloured = dataclasses.replace(plan, colour_spread=spread)
        task = denoiser.DenoiserTask(parts, smoke, coloured, ALONE, images_only=images_only)
        task.loss(0, torch.Generator().manual_seed(1))
    white, coloured = noises
    assert torch.equal(white, coloured) != are_there


def test_a_folder_keeps_to_its_plan_its_processes_and_one_run(smoke):
    before = unet_of(smoke)
    done = train_smoke(smoke, processes=1)
    assert done.returncode == 2
    assert "processes was 2 and is 1" in done.stderr
    with pytest.raises(FolderError, match="another plan: autoencoder was"):
        claim(smoke, FULL, 2)
    # More steps of the last stage are welcome, of an earlier one they would be for nothing.
    longer = dataclasses.replace(SMOKE, video=dataclasses.replace(SMOKE.video, steps=9))
    claim(smoke, longer, 2).release()
    lock = claim(smoke, SMOKE, 2)
    with pytest.raises(FolderError, match="used by another training"):
        claim(smoke, SMOKE, 2)
    lock.release()
    longer = dataclasses.replace(SMOKE, images=dataclasses.replace(SMOKE.images, steps=9))
    with pytest.raises(FolderError, match="images was"):
        claim(smoke, longer, 2)
    assert unet_of(smoke) == before


def test_refining_goes_on_from_the_installed_weights_with_other_clips(tmp_path):
    video = Schedule(steps=2, batch=1, learning_rate=1e-3, warm_up=4)
    short = dataclasses.replace(REFINE, clips=5, video=video, image_share=0.5)
    short = dataclasses.replace(
        short, images=dataclasses.replace(REFINE.images, batch=2), prior=FULL.prior, word_spread=1.0
    )
    stages.train_all(ALONE, tmp_path, short, time.time() + 600, float("inf"))
    installed, trained = MODELS_FOLDER / "demo", tmp_path / "model"
    for name in ("vae", "unet", "text_encoder"):
        path = next((installed / name).glob("*.safetensors")).relative_to(installed)
        before, after = (load_file(folder / path) for folder in (installed, trained))
        assert before.keys() == after.keys()
        furthest = max((before[key] - after[key]).abs().max().item() for key in before)
        assert furthest == 0 if name == "vae" else 0 < furthest < 2e-3, name
    for name in ("vocab.json", "merges.txt", "tokenizer.json"):
        if (installed / "tokenizer" / name).exists():
            one, other = (folder / "tokenizer" / name for folder in (installed, trained))
            assert one.read_text() == other.read_text()
    for path in trained.rglob("*.json"):
        assert str(MODELS_FOLDER) not in path.read_text(encoding="utf-8"), path
    for name in ("vae", "unet"):
        one, other = (folder / name / "config.json" for folder in (installed, trained))
        assert json.loads(one.read_text()) == json.loads(other.read_text())
    assert not (tmp_path / "autoencoder.jsonl").exists()
    first = [shard.seed(0) for shard in clips.shards(tmp_path, short)]
    assert first == [(number + 1) * 1_000_000 + FULL.clips for number in range(5)]


def test_what_to_begin_with_is_refused_before_anything_is_made(tmp_path):
    done = train_smoke(tmp_path / "one", "--begin", "demo")
    assert done.returncode == 2
    assert "'smoke' begins with random weights" in done.stderr
    missing = tmp_path / "missing"
    done = train_smoke(tmp_path / "two", "--plan", "refine", "--begin", str(missing))
    assert done.returncode == 2
    assert f"The model's folder {missing} is not there." in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


class _Line:
    """A task with random numbers: fit a line."""

    def __init__(self, part):
        self._part = part

    def loss(self, _step, generator):
        x = torch.randn(8, 3, generator=generator)
        loss = (self._part(x)[:, 0] - x.sum(dim=1)).square().mean()
        return loss, {"loss": loss.detach()}


def _line_trainee(steps):
    torch.manual_seed(1)
    part = torch.nn.Linear(3, 1)
    schedule = Schedule(steps=steps, batch=8, learning_rate=0.05, warm_up=2)
    return Trainee({"line": part}, schedule, ALONE), _Line(part)


def test_training_finds_what_there_is_to_learn(tmp_path):
    trainee, task = _line_trainee(60)
    train("line", trainee, task, tmp_path, seed=3, budget=Budget(float("inf"), float("inf")))
    with trainee.averaged():
        assert torch.allclose(trainee.weights[0], torch.ones(1, 3), atol=0.05)


def _say_who_and_wait(worker, folder):
    (folder / str(worker.rank)).write_text(str(os.getpid()))
    time.sleep(600)


def test_the_processes_end_when_the_one_that_began_them_is_killed(tmp_path):
    code = (
        "import pathlib, sys; from demo.training.workers import run_workers;"
        "from tests.engine.test_training import _say_who_and_wait as job;"
        "folder = pathlib.Path(sys.argv[1]);"
        "run_workers(job, (folder,), world=2, meeting=folder / 'meeting')"
    )
    # As in what a shell runs in the background, where torch's own signal is ignored.
    command = [
        "sh",
        "-c",
        'trap "" INT; exec "$@"',
        "sh",
        sys.executable,
        "-c",
        code,
        str(tmp_path),
    ]
    parent = subprocess.Popen(command, cwd=ROOT)
    files = [tmp_path / "0", tmp_path / "1"]
    deadline = time.monotonic() + 120
    try:
        while not all(file.is_file() and file.read_text() for file in files):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        parent.kill()
        parent.wait()
    for file in files:
        wait_until_gone(int(file.read_text()), 30)


def test_a_checkpoint_holds_the_optimiser_too(tmp_path):
    whole, task = _line_trainee(60)
    train("line", whole, task, tmp_path, seed=3, budget=Budget(float("inf"), float("inf")))
    other = tmp_path / "other"
    other.mkdir()
    for steps in (1, 23, 60):
        part, task = _line_trainee(60)
        with contextlib.suppress(OutOfTime):
            train("line", part, task, other, seed=3, budget=Budget(float("inf"), steps))
    one, two = (load_file(folder / "line.safetensors") for folder in (tmp_path, other))
    assert one.keys() == two.keys()
    for name in one.keys() - {"state/seconds"}:
        assert torch.equal(one[name], two[name]), name


def test_the_rate_rises_stays_and_falls():
    schedule = Schedule(steps=100, batch=1, learning_rate=1.0, warm_up=10, decay=0.2)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:80] == pytest.approx([1.0] * 70)
    assert rates[90] == pytest.approx(0.5)
    assert 0 < rates[-1] <= 0.05


def test_every_word_of_the_world_is_one_token_and_all_other_words_are_spelt():
    tokenizer = make_tokenizer(FULL)
    assert len(tokenizer("a small red ball moving left over grass").input_ids) == 10
    assert len(tokenizer("zeppelin").input_ids) > 4
    assert tokenizer.unk_token_id not in tokenizer("a zeppelin, 3 of them!").input_ids[1:-1]


def test_every_process_and_every_run_gives_a_word_the_same_token():
    first = make_tokenizer(FULL)
    for _ in range(20):
        again = make_tokenizer(FULL)
        assert again.get_vocab() == first.get_vocab()
        assert again.backend_tokenizer.to_str() == first.backend_tokenizer.to_str()
    # What a training that is under way has on disk.
    assert first("an up").input_ids[1:-1] == [118, 200]


def test_mixed_latents_have_the_other_picture_inside_and_are_not_judged_at_the_edge():
    latents = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 16, 16)
    pictures = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 64, 64)
    weights = torch.ones(4, 1, 64, 64)
    generator = torch.Generator().manual_seed(0)
    mixed, wanted, judged = _mix(latents, pictures, weights, 2, generator)
    assert set(mixed[0].unique().tolist()) == {0.0, 1.0}
    large = torch.nn.functional.interpolate(mixed, scale_factor=4, mode="nearest")
    assert torch.equal(large.expand_as(wanted), wanted)
    assert torch.equal(mixed[2:], latents[2:])
    assert torch.equal(judged[2:], weights[2:])
    inside = mixed[0, 0]
    edges = (inside[:, 1:] != inside[:, :-1]).nonzero()
    row, column = edges[0].tolist()
    assert (judged[0, 0, row * 4 : row * 4 + 4, column * 4 : column * 4 + 8] == 0).all()
    assert judged[0].sum() > 0
