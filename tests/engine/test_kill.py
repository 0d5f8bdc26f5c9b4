# SPDX-License-Identifier: GPL-3.0-or-later
"""A killed engine loses nothing but time: real processes, SIGKILL, and the pixels afterwards."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.schema import dumps
from tests.engine.clips import QUICK, frames_of, movie_job, run

ROOT = Path(__file__).resolve().parents[2]
# A checkpoint after every step, so that there is something to resume from at once.
WORKER = """
import sys
import engine.editing.run as run
run.CHECKPOINT_SECONDS = 0.0
from engine.__main__ import main
sys.exit(main(["run", sys.argv[1]]))
"""


def start(job_dir):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(job_dir)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the engine ended before it could be killed"
        assert time.monotonic() < deadline, "the engine did not get that far"
        time.sleep(0.01)


@pytest.mark.parametrize("moment", ["editing", "writing"])
def test_a_killed_job_resumes_and_ends_with_the_pixels_of_an_undisturbed_run(tmp_path, moment):
    job, _ = movie_job(tmp_path / "in", frames=12)
    job = replace(job, settings=replace(QUICK, steps=6))
    undisturbed, whole = run(job, tmp_path / "undisturbed")
    job_dir = tmp_path / "killed"
    job_dir.mkdir()
    (job_dir / "job.json").write_text(dumps(job), encoding="utf-8")
    sign = job_dir / ("checkpoint.safetensors" if moment == "editing" else "frames/000003.png")
    process = start(job_dir)
    try:
        wait_for(sign.exists, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (job_dir / "result.json").exists()
    assert start(job_dir).wait(timeout=180) == 0
    assert np.array_equal(frames_of(job_dir), undisturbed)
    assert (job_dir / "result.json").exists()
    assert len(whole["gradient_norms"]) == 6
    assert not list(job_dir.rglob(".*.part.*"))
