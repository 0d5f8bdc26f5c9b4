# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loop costs beyond the model, a longer clip in memory, and a second edit of a clip.

    .venv/bin/python -m benchmarks.overhead

All are ratios measured in one run: seconds of the optimisation over the seconds of the model calls
in it; peak memory of a whole job of 160 frames over one of 16, each in its own process; seconds of
an edit over those of the same edit that reads what an earlier one left (stopping rule and its
probes included). Writes docs/overhead.md.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demo.grammar import caption
from demo.movie import write_clip
from demo.sampling import sample_spec
from demo.spec import counterfactual
from engine.backbones.text_to_video import TextToVideo
from engine.editing.edit import Edit
from engine.editing.references import References, ReferenceStore
from engine.editing.state import Clip
from engine.guidance.randomness import frame_noise
from engine.registry import find_backbone

ROOT = Path(__file__).resolve().parent.parent
STEPS, REUSE_STEPS = 8, 24
LIMIT_OVERHEAD, LIMIT_MEMORY, LEAST_REUSE = 0.05, 0.10, 1.6


class Timed(TextToVideo):
    """The backbone, with a stopwatch around its model calls."""

    seconds = 0.0

    def noise_pred(self, z_t: Tensor, timestep: int, embeddings: Tensor, **watched: Any) -> Tensor:
        """As `TextToVideo.noise_pred`."""
        start = time.perf_counter()
        prediction = super().noise_pred(z_t, timestep, embeddings, **watched)
        self.seconds += time.perf_counter() - start
        return prediction


def loop_overhead() -> tuple[float, float]:
    """Seconds of the optimisation, and of the model calls in it, for 40 frames at 80 × 48."""
    torch.set_num_threads(1)
    card = find_backbone("demo")
    backbone = Timed(card, device=torch.device("cpu"), dtype=torch.float32)
    z_source = frame_noise(0, 0, range(40), (4, 12, 20))
    clip = Clip(
        z_source=z_source, mask=torch.ones(40, 1, 12, 20), media_frames=tuple(range(len(z_source)))
    )
    edit = Edit(
        backbone,
        clip,
        source_prompt="a red ball moving right over grass",
        target_prompt="a blue ball moving right over grass",
        settings=replace(card.recommended("dds"), steps=STEPS, use_stopping_rule=False),
        seed=0,
    )
    state = edit.advance(edit.start())  # the first calls allocate
    backbone.seconds = 0.0
    start = time.perf_counter()
    while not state.is_finished:
        state = edit.advance(state)
    return time.perf_counter() - start, backbone.seconds


def reuse_seconds(folder: Path) -> tuple[float, float]:
    """Seconds of a second edit of 80 frames at 80 × 48: without, and with what the first left."""
    card = find_backbone("demo")
    backbone = TextToVideo(card, device=torch.device("cpu"), dtype=torch.float32)
    z_source = frame_noise(0, 0, range(80), (4, 12, 20))
    clip = Clip(z_source=z_source, mask=torch.ones(80, 1, 12, 20), media_frames=tuple(range(80)))

    def run(color: str, *, is_kept: bool) -> tuple[float, Tensor]:
        store = ReferenceStore(folder, 10**9)
        start = time.perf_counter()
        edit = Edit(
            backbone,
            clip,
            source_prompt="a red ball moving right over grass",
            target_prompt=f"a {color} ball moving right over grass",
            settings=replace(card.recommended("dds"), steps=REUSE_STEPS, strength=3),
            seed=0,
            references=References(store, "clip", count=0, warn=print) if is_kept else None,
        )
        state = edit.start()
        while not state.is_finished:
            state = edit.advance(state)
        return time.perf_counter() - start, state.z_average

    run("green", is_kept=True)
    without, expected = run("blue", is_kept=False)
    reading, found = run("blue", is_kept=True)
    if not torch.equal(expected, found):
        sys.exit("Reading what an earlier edit left changed the result.")
    return without, reading


def peak_mebibytes(clip: Path, frames: int, folder: Path) -> float:
    """Peak memory of one whole job in a process of its own."""
    spec = sample_spec(3, color="red", shape="ball", background="grass")
    command = [
        sys.executable,
        "-c",
        "import resource, sys; from engine.__main__ import main; code = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)",
        *("edit", str(clip), "--source", caption(spec)),
        *("--target", caption(counterfactual(spec, color="blue"))),
        *("--frames", f"1-{frames}", "--steps", "1", "--threads", "1"),
        *("-o", str(folder / f"job{frames}")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024  # Linux counts in KiB


def main() -> None:
    """Measure and write the page."""
    whole, model = loop_overhead()
    overhead = whole / model - 1
    with tempfile.TemporaryDirectory() as name:
        spec = sample_spec(3, frames=160, width=640, height=360, camera="pan")
        write_clip(spec, Path(name) / "clip")
        movie = Path(name) / "clip" / "clip.mp4"
        short = peak_mebibytes(movie, 16, Path(name))
        long = peak_mebibytes(movie, 160, Path(name))
        without, reading = reuse_seconds(Path(name) / "references")
    growth = long / short - 1
    lines = [
        "# What the loop costs",
        "",
        "Written by `.venv/bin/python -m benchmarks.overhead`"
        f" (demo backbone, torch {torch.__version__}, {platform.machine()}, 1 thread).",
        "",
        "| | measured | limit |",
        "|---|---|---|",
        f"| optimisation beyond its own model calls ({whole:.1f} s against {model:.1f} s)"
        f" | {overhead:+.1%} | < {LIMIT_OVERHEAD:.0%} |",
        f"| peak memory, 160 frames against 16 at 640 × 360 ({long:.0f} against {short:.0f} MiB)"
        f" | {growth:+.1%} | < {LIMIT_MEMORY:.0%} |",
        f"| a second edit of a clip, {without:.1f} s, against {reading:.1f} s that reads the first"
        f" (`dds`, {REUSE_STEPS} steps, same pixels) | {without / reading:.2f} × faster"
        f" | ≥ {LEAST_REUSE:.1f} × |",
        "",
        "CUDA: not measured.",
        "",
    ]
    (ROOT / "docs" / "overhead.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    if overhead > LIMIT_OVERHEAD or growth > LIMIT_MEMORY or without / reading < LEAST_REUSE:
        sys.exit("A limit is broken.")


if __name__ == "__main__":
    main()
