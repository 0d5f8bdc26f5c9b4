# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loop costs beyond the model, a longer clip in memory, and a second edit of a clip.

    .venv/bin/python -m benchmarks.overhead

All are ratios measured in one run, of seconds of the one processor that is used: seconds of the
optimisation over the seconds of the model calls in it; peak memory of a whole job of ten windows
over one of a single window, each in its own process; seconds of an edit over those of the same edit
that reads what an earlier one left (stopping rule and its probes included). Beside them, what a
step of each method costs: operations counted, in passes of the U-Net. Writes docs/overhead.md.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.step_costs import cost_lines
from demo.grammar import caption
from demo.movie import write_clip
from demo.sampling import sample_spec
from demo.spec import counterfactual
from engine.backbones.text_to_video import TextToVideo
from engine.editing.edit import Edit
from engine.editing.references import References, ReferenceStore
from engine.editing.state import Clip
from engine.guidance.randomness import frame_noise
from engine.job import Method
from engine.registry import find_backbone

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ("a red ball moving right over grass", "a {} ball moving right over grass")
STEPS, REUSE_STEPS = 8, 24
MOST_STRENGTH = 3
"""At which the stopping rule measures as often as ever and hardly stops."""
WINDOW, LONG = 8, 80
LATENTS = (4, 12, 20)
"""Of a frame of 80 × 48 px."""
LIMIT_OVERHEAD, LIMIT_MEMORY, LEAST_REUSE = 0.05, 0.10, 1.6


class Timed(TextToVideo):
    """The backbone, with a stopwatch around its model calls."""

    seconds = 0.0

    def noise_pred(self, z_t: Tensor, timestep: int, embeddings: Tensor, **watched: Any) -> Tensor:
        """As `TextToVideo.noise_pred`."""
        start = time.process_time()
        prediction = super().noise_pred(z_t, timestep, embeddings, **watched)
        self.seconds += time.process_time() - start
        return prediction


def demo_backbone() -> Timed:
    """The demo backbone on the CPU."""
    return Timed(find_backbone("demo"), device=torch.device("cpu"), dtype=torch.float32)


def noise_clip(frames: int) -> Clip:
    """A clip whose latents are noise, free everywhere."""
    return Clip(
        z_source=frame_noise(0, 0, range(frames), LATENTS),
        mask=torch.ones(frames, 1, *LATENTS[1:]),
        media_frames=tuple(range(frames)),
    )


def loop_overhead() -> tuple[float, float]:
    """Seconds of the optimisation, and of the model calls in it, for 40 frames at 80 × 48."""
    backbone = demo_backbone()
    edit = Edit(
        backbone,
        noise_clip(40),
        source_prompt=PROMPTS[0],
        target_prompt=PROMPTS[1].format("blue"),
        settings=replace(backbone.card.recommended("dds"), steps=STEPS, use_stopping_rule=False),
        seed=0,
    )
    state = edit.advance(edit.start())  # the first calls allocate
    backbone.seconds = 0.0
    start = time.process_time()
    while not state.is_finished:
        state = edit.advance(state)
    return time.process_time() - start, backbone.seconds


def reuse_seconds(
    folder: Path, *, frames: int, has_rule: bool, steps: int = REUSE_STEPS
) -> tuple[float, float]:
    """Seconds of a second edit at 80 × 48: without, and with what the first left.

    Args:
        folder: For what is left; empty.
        frames: Of the clip.
        has_rule: Whether the stopping rule measures on the way; what it measures is the edit, of
            which nothing can be kept.
        steps: Of the optimisation.
    """
    backbone, clip = demo_backbone(), noise_clip(frames)
    settings = replace(
        backbone.card.recommended("dds"),
        steps=round(steps / MOST_STRENGTH) if has_rule else steps,
        strength=MOST_STRENGTH if has_rule else 1.0,
        use_stopping_rule=has_rule,
    )
    assert settings.most_steps == steps

    def run(color: str, *, is_kept: bool) -> tuple[float, Tensor]:
        store = ReferenceStore(folder, 10**9)
        start = time.process_time()
        edit = Edit(
            backbone,
            clip,
            source_prompt=PROMPTS[0],
            target_prompt=PROMPTS[1].format(color),
            settings=settings,
            seed=0,
            references=References(store, "clip", count=0, warn=print) if is_kept else None,
        )
        state = edit.start()
        while not state.is_finished:
            state = edit.advance(state)
        if state.step != steps:
            sys.exit(f"The edit took {state.step} steps, not {steps}.")
        return time.process_time() - start, state.z_average

    run("green", is_kept=True)
    without, expected = run("blue", is_kept=False)
    reading, found = run("blue", is_kept=True)
    if not torch.equal(expected, found):
        sys.exit("Reading what an earlier edit left changed the result.")
    return without, reading


def peak_mebibytes(clip: Path, method: Method, frames: int, folder: Path) -> float:
    """Peak memory of one whole job in a process of its own."""
    spec = sample_spec(3, color="red", shape="ball", background="grass")
    command = [
        sys.executable,
        "-c",
        "import resource, sys; from engine.__main__ import main; code = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)",
        *("edit", str(clip), "--source", caption(spec)),
        *("--target", caption(counterfactual(spec, color="blue")), "--method", method),
        *("--frames", f"1-{frames}", "--steps", "1", "--threads", "1"),
        *("-o", str(folder / f"{method}{frames}")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024  # Linux counts in KiB


@dataclass(frozen=True)
class Row:
    """A row of the page.

    Attributes:
        what: What was measured.
        found: The figure, in words.
        limit: Its limit, in words.
        is_kept: Whether it keeps the limit.
    """

    what: str
    found: str
    limit: str
    is_kept: bool


def overhead_row() -> Row:
    """The loop beside its model calls."""
    whole, model = loop_overhead()
    overhead = whole / model - 1
    return Row(
        f"optimisation beyond its own model calls ({whole:.1f} s against {model:.1f} s)",
        f"{overhead:+.1%}",
        f"< {LIMIT_OVERHEAD:.0%}",
        overhead < LIMIT_OVERHEAD,
    )


def memory_row(movie: Path, method: Method, folder: Path) -> Row:
    """Ten windows beside one."""
    short, long = (peak_mebibytes(movie, method, frames, folder) for frames in (WINDOW, LONG))
    growth = long / short - 1
    return Row(
        f"peak memory of `{method}`, {LONG} frames against one window's {WINDOW} at 640 × 360"
        f" ({long:.0f} against {short:.0f} MiB)",
        f"{growth:+.1%}",
        f"< {LIMIT_MEMORY:.0%}",
        growth < LIMIT_MEMORY,
    )


def reuse_row(folder: Path, frames: int, *, has_rule: bool) -> Row:
    """A second edit of a clip."""
    without, reading = reuse_seconds(folder, frames=frames, has_rule=has_rule)
    rule = "with" if has_rule else "without"
    return Row(
        f"a second edit of a clip of {frames} frames, {without:.1f} s, against {reading:.1f} s that"
        f" reads the first (`dds`, {REUSE_STEPS} steps {rule} the stopping rule's measurements,"
        " same pixels)",
        f"{without / reading:.2f} × faster",
        f"≥ {LEAST_REUSE:.1f} ×",
        without / reading >= LEAST_REUSE,
    )


def main() -> None:
    """Measure and write the page."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = sample_spec(3, frames=LONG, width=640, height=360, camera="pan")
        write_clip(spec, folder / "clip")
        movie = folder / "clip" / "clip.mp4"
        rows = [overhead_row()]
        rows += [memory_row(movie, method, folder) for method in ("dds", "dreammotion")]
        rows += [
            reuse_row(folder / "long", LONG, has_rule=True),
            reuse_row(folder / "short", WINDOW, has_rule=False),
            # A clip of one window is measured as often as a long one, but at the same three windows
            # of it at most: there the rule's share of the work is largest.
            reuse_row(folder / "short, rule", WINDOW, has_rule=True),
        ]
    lines = [
        "# What the loop costs",
        "",
        "Written by `.venv/bin/python -m benchmarks.overhead`"
        f" (demo backbone, torch {torch.__version__}, {platform.machine()}, 1 thread).",
        "",
        "| | measured | limit |",
        "|---|---|---|",
        *(f"| {row.what} | {row.found} | {row.limit} |" for row in rows),
        "",
        *cost_lines(demo_backbone(), noise_clip(WINDOW), (PROMPTS[0], PROMPTS[1].format("blue"))),
        "",
        "CUDA: not measured.",
        "",
    ]
    (ROOT / "docs" / "overhead.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    if not all(row.is_kept for row in rows):
        sys.exit("A limit is broken.")


if __name__ == "__main__":
    main()
