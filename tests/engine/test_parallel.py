# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows looked at side by side: in order, within limits, and without any effect on a pixel."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.backbones.base import Recording
from engine.backbones.loading import load_backbone
from engine.backbones.parallel import OwnModules, Threads, split_threads
from engine.errors import CancelledError
from engine.job import with_settings
from engine.registry import read_card
from engine.reporter import Reporter
from tests.engine.clips import movie_job, run
from tests.engine.folders import write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return write_folder(root / "tiny", "text_to_video", frames=4, image_mode=True)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count):
    def slow_first(number):
        time.sleep(0.05 if number == 0 else 0)
        return -number

    assert list(Threads(count).map(slow_first, range(12))) == [-n for n in range(12)]
    assert list(Threads(count).map(slow_first, [])) == []


def test_two_threads_work_at_a_time_and_few_items_are_under_way():
    both, taken = threading.Barrier(2), []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    def meet(number):
        both.wait(timeout=20)  # only with another one at the same time
        return number

    results = Threads(2).map(meet, items())
    assert next(results) == 0
    assert len(taken) <= 3
    assert list(results) == list(range(1, 20))


def test_an_error_ends_the_work_and_nothing_goes_on_behind_it():
    ended = []

    def fail_on_three(number):
        if number == 3:
            raise ZeroDivisionError
        time.sleep(0.02)
        ended.append(number)

    with pytest.raises(ZeroDivisionError):
        list(Threads(2).map(fail_on_three, range(1000)))
    count = len(ended)
    time.sleep(0.1)
    assert len(ended) == count < 10


@pytest.mark.parametrize(
    ("threads", "calls", "expected"),
    [(1, 9, (1, 1)), (2, 9, (2, 1)), (8, 1, (1, 8)), (8, 3, (3, 2)), (2, 2, (2, 1))],
)
def test_threads_go_to_windows_first_and_the_rest_to_each_of_them(threads, calls, expected):
    assert split_threads(threads, calls) == expected


def test_a_thread_has_modules_of_its_own_over_the_same_weights():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    own = OwnModules(module)
    assert own.get() is module
    (one, again), (other, _) = Threads(2).map(lambda _: (own.get(), own.get()), range(2))
    assert one is again
    for copied in (one, other):
        assert copied is not module
        assert all(a is b for a, b in zip(module.parameters(), copied.parameters(), strict=True))
        assert all(a is b for a, b in zip(module.buffers(), copied.buffers(), strict=True))


@torch.no_grad()
def test_passes_side_by_side_record_their_own_keys(folder):
    backbone = load_backbone(read_card(folder), device=torch.device("cpu"), dtype=torch.float32)
    text = backbone.embed(["a red ball"])
    clips = torch.randn(6, 1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def keys(z_t):
        record = Recording(backbone.sites)
        with torch.no_grad():
            return backbone.noise_pred(z_t, 400, text, record=record), record.keys

    alone = [keys(z_t) for z_t in clips]
    for (one, its_keys), (other, other_keys) in zip(
        alone, Threads(2).map(keys, clips), strict=True
    ):
        assert torch.equal(one, other)
        assert all(torch.equal(its_keys[site], other_keys[site]) for site in backbone.sites)


@pytest.mark.parametrize("method", ["dds", "dreammotion", "assd"])
def test_several_windows_have_the_same_pixels_on_one_thread_and_on_two(folder, tmp_path, method):
    job, _ = movie_job(tmp_path / "in", frames=6)
    settings = with_settings(job.settings, dreammotion={"checkpointing": True})
    job = replace(job, method=method, backbone=str(folder), size=(64, 64), settings=settings)
    (one, by_one), (two, by_two) = (
        run(replace(job, threads=threads), tmp_path / str(threads)) for threads in (1, 2)
    )
    assert np.array_equal(one, two)
    assert by_one["gradient_norms"] == by_two["gradient_norms"]
    assert (by_one["machine"]["threads"], by_two["machine"]["threads"]) == (1, 2)


class Impatient(Reporter):
    """Asks for a cancel after so many looks, which come from several threads."""

    def __init__(self, looks):
        self.looks = looks

    def check_cancelled(self):
        self.looks -= 1
        if self.looks < 0:
            raise CancelledError("The job was cancelled.")


def test_a_cancel_is_heard_in_every_thread_and_the_job_goes_on_from_there(folder, tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=6)
    job = replace(job, backbone=str(folder), size=(64, 64), threads=2)
    with pytest.raises(CancelledError):
        run(job, tmp_path / "job", Impatient(26))
    assert (tmp_path / "job" / "checkpoint.safetensors").exists()
    whole, _ = run(job, tmp_path / "other")
    resumed, _ = run(job, tmp_path / "job")
    assert np.array_equal(whole, resumed)
