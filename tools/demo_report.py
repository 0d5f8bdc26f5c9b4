# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what the demo made, draws compare.png, encodes edited.mp4; status 1: not as it must be.

    python -m tools.demo_report FOLDER      (in the engine's environment)

Imports numpy, PyAV, imageio and Pillow; neither torch nor bpy. The movies are decoded here with
imageio alone, so that an error in the engine's own decoder cannot hide itself.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from demo.movie import write_movie
from demo.spec import from_json
from demo.truth import Measures, measure
from demo.world import render, render_backgrounds
from tools import demo_plan as plan
from tools.demo_sheet import Row, draw_sheet

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Result:
    """One edited strip.

    Attributes:
        name: Of its source strip.
        source: Decoded frames that the source strip shows, (n, h, w, 3).
        edited: Frames of the result strip, same shape.
        mask: Levels of the mask, (n, h, w).
        job: result.json of its job.
        strip_frames: Frames of the result strip on the timeline.
    """

    name: str
    source: Frames
    edited: Frames
    mask: Frames
    job: dict[str, Any]
    strip_frames: int

    @property
    def largest_outside(self) -> int:
        """Largest difference of a level where the mask is 0."""
        change = np.abs(self.edited.astype(np.int16) - self.source.astype(np.int16))
        return int(change[self.mask == 0].max(initial=0))

    @property
    def changed(self) -> tuple[float, float]:
        """(share of pixels that changed inside the mask, mean change of those levels)."""
        change = np.abs(self.edited.astype(np.int16) - self.source.astype(np.int16))[self.mask > 0]
        moved = change.max(axis=-1) > 0
        return float(moved.mean()), float(change[moved].mean()) if moved.any() else 0.0

    def problems(self) -> list[str]:
        """What is not as it must be, in sentences."""
        found = []
        counts = {len(self.source), len(self.edited), self.strip_frames, self.job["frame_count"]}
        if len(counts) > 1:
            found.append(
                f"{self.name}: {len(self.source)} frames in, {len(self.edited)} frames out, "
                f"{self.strip_frames} on the timeline, {self.job['frame_count']} in result.json."
            )
        if self.largest_outside:
            found.append(f"{self.name}: differs by {self.largest_outside} outside the mask, not 0.")
        if not self.changed[0]:
            found.append(f"{self.name}: nothing changed inside the mask.")
        return found


def tell(fraction: float, note: str) -> None:
    """One line of progress."""
    values = json.dumps({"fraction": fraction, "note": note})
    print(f"{plan.PROGRESS}{values}", flush=True)


def read_folder(folder: Path) -> Frames:
    """All PNG files of a folder, in order."""
    return np.stack([iio.imread(file) for file in sorted(folder.glob("*.png"))])


def read_result(folder: Path, name: str, strips: list[dict[str, Any]]) -> Result:
    """Everything about one edited strip.

    Raises:
        SystemExit: The timeline has no result for it.
    """
    source = next(strip for strip in strips if strip["name"] == name)
    result = next((s for s in strips if s["source"] and s["source"] == source["uuid"]), None)
    if result is None:
        raise SystemExit(f"{name}: there is no result strip on the timeline.")
    left, right = source["handles"]
    first = plan.FILM_FIRST if name == "film" else 0
    movie = list(iio.imiter(folder / name / "clip.mp4", plugin="pyav"))
    frames = np.stack(movie[first : first + right - left])
    masks = read_folder(folder / name / "mask")
    masks = np.concatenate([masks, np.repeat(masks[-1:], len(frames) - len(masks), axis=0)])
    job = Path(result["job"])
    return Result(
        name=name,
        source=frames,
        edited=read_folder(job / "frames"),
        mask=masks,
        job=json.loads((job / "result.json").read_text(encoding="utf-8")),
        strip_frames=result["handles"][1] - result["handles"][0],
    )


def measure_clip(folder: Path, result: Result) -> tuple[Measures, Frames]:
    """Figures of a procedural clip, and its exact counterfactual."""
    truth = json.loads((folder / result.name / "truth.json").read_text(encoding="utf-8"))
    wanted = json.loads((folder / result.name / "edit.json").read_text(encoding="utf-8"))
    source, target = from_json(truth["spec"]), from_json(wanted)
    backgrounds = np.stack(list(render_backgrounds(source)))
    exact = render(target)
    return measure(result.edited, render(source), exact, backgrounds, "color"), exact.frames


def figures(measures: Measures) -> list[str]:
    """Lines about a procedural clip."""
    error = measures.trajectory_error_px
    way = "object lost" if error is None else f"{error:.2f} px"
    return [
        f"  colour      {measures.colour_progress:.2f} of the way from {plan.SOURCE_COLOR} to "
        f"{plan.EDITED_COLOR} (1 = exactly there), {measures.colour_error:.1f} levels off",
        f"  object      {measures.object_psnr:.1f} dB to the exact answer, {way} off its path, "
        f"{measures.missing_frames} frames without it",
        f"  edge        {measures.edge_halo:.1f} levels off within 4 px of the outline",
        f"  flicker     {measures.flicker:.2f} levels from frame to frame",
        f"  background  {measures.background_psnr:.1f} dB to the footage before its compression",
    ]


def facts(result: Result) -> list[str]:
    """Lines about any clip."""
    job, (share, change) = result.job, result.changed
    count, height, width = result.source.shape[:3]
    seconds = "  ".join(f"{stage} {value:.0f} s" for stage, value in job["seconds"].items())
    return [
        f"{result.name}: “{job['job']['source_prompt']}” → “{job['job']['target_prompt']}”",
        f"  frames      {count} in, {len(result.edited)} out, {width}x{height} px "
        f"(the model worked at {job['working_width']}x{job['working_height']})",
        f"  outside     largest difference where the mask is 0: {result.largest_outside}",
        f"  inside      {share:.0%} of the pixels changed, by {change:.0f} levels on average",
        f"  time        {seconds}  ({job['steps']} steps)",
    ]


def encode(folder: Path) -> int:
    """edited.mp4 from the rendered timeline; returns its number of frames."""
    files = sorted((folder / "rendered").glob("*.png"))
    pictures = (iio.imread(file)[..., :3] for file in files)
    count = write_movie(folder / "edited.mp4", pictures, Fraction(plan.FPS))
    for file in files:
        file.unlink()
    return count


def main(folder: Path) -> int:
    """Everything; returns the exit status."""
    timeline = json.loads((folder / "timeline.json").read_text(encoding="utf-8"))
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    names = [f"clip{number}" for number in range(1, len(plan.SEEDS) + 1)]
    lines, problems, rows = [], [], []
    for index, name in enumerate([*names, "film"]):
        tell(index / 4, name)
        result = read_result(folder, name, timeline["strips"])
        lines += facts(result)
        problems += result.problems()
        exact = None
        if name in names:
            measures, exact = measure_clip(folder, result)
            lines += figures(measures)
        else:
            lines.append(
                "  meaning     none: the demo backbone knows no such thing; only the facts count"
            )
            lines.append(f"  credit      {plan.FILM_CREDIT}")
        rows.append(Row(name, result.source, result.edited, exact))
    tell(0.75, "compare.png")
    draw_sheet(rows, folder / "compare.png")
    tell(0.85, "edited.mp4")
    count = encode(folder)
    length = sum(len(row.source) for row in rows)
    if count != length:
        problems.append(f"edited.mp4 has {count} frames, the timeline {length}.")
    lines.append(f"Blender {timeline['blender']}, all stages:")
    lines += [f"  {value:4.0f} s  {stage}" for stage, value in run["seconds"].items()]
    if run["peak_bytes"]:
        lines.append(f"The engine's peak memory: {run['peak_bytes'] / 2**20:.0f} MiB")
    print("\n".join(lines))
    for problem in problems:
        print(f"NOT AS IT MUST BE: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
