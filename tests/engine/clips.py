# SPDX-License-Identifier: GPL-3.0-or-later
"""Small clips on disk and jobs on them, for tests that run the demo backbone."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from demo.grammar import caption
from demo.movie import write_movie
from demo.sampling import sample_spec
from demo.spec import counterfactual
from demo.world import render
from engine.editing.run import run_job
from engine.job import EditJob, EditSettings
from engine.media import Mask, Media
from engine.reporter import Reporter
from engine.schema import dumps
from engine.video.images import read_image
from engine.video.writing import write_frame

# Averaging and steadying are on, so that every promise is tested with them.
QUICK = EditSettings(
    steps=2,
    guidance_scale=3,
    step_size=0.4,
    averaging=0.5,
    smoothing_frames=2,
    use_stopping_rule=False,
)


def ball(frames, width, height):
    """A red ball over grass, and its blue counterfactual's spec."""
    spec = sample_spec(
        21, frames=frames, width=width, height=height, color="red", shape="ball", background="grass"
    )
    return spec, counterfactual(spec, color="blue")


def movie_job(
    folder: Path, *, frames=8, width=64, height=64, fps=Fraction(25), settings=QUICK, masked=True
):
    """A lossless movie in `folder`, its mask pictures, and a job on them."""
    folder.mkdir(parents=True, exist_ok=True)
    spec, target = ball(frames, width, height)
    clip = render(spec)
    write_movie(folder / "clip.mkv", iter(clip.frames), fps, codec="ffv1")
    names = tuple(f"{i + 1:06d}.png" for i in range(frames))
    (folder / "mask").mkdir()
    for name, alpha in zip(names, clip.alpha, strict=True):
        grey = (alpha * 255).round().astype(np.uint8)
        write_frame(folder / "mask" / name, np.repeat(grey[:, :, None], 3, axis=2))
    frame_map = tuple(range(frames))
    mask = Mask(
        media=Media(path=str(folder / "mask"), kind="images", frames=frame_map, files=names)
    )
    return EditJob(
        source=Media(path=str(folder / "clip.mkv"), kind="movie", frames=frame_map),
        fps=(fps.numerator, fps.denominator),
        source_prompt=caption(spec),
        target_prompt=caption(target),
        mask=mask if masked else None,
        settings=settings,
        threads=1,
        movie=False,
    ), clip


def run(job: EditJob, job_dir: Path, reporter: Reporter | None = None):
    """Run a job in a new folder; the result's frames and result.json."""
    job_dir.mkdir(parents=True, exist_ok=True)
    (job_dir / "job.json").write_text(dumps(job), encoding="utf-8")
    result = run_job(job_dir, reporter or Reporter())
    return frames_of(job_dir), json.loads(result.read_text(encoding="utf-8"))


def frames_of(job_dir: Path):
    """The result's frames, `(n, h, w, channels)`."""
    return np.stack([read_image(p) for p in sorted((job_dir / "frames").iterdir())])


def as_images(job: EditJob, folder: Path, pictures) -> EditJob:
    """The same job on an image sequence."""
    folder.mkdir(parents=True)
    names = tuple(f"shot {i + 1:03d}.png" for i in range(len(pictures)))
    for name, picture in zip(names, pictures, strict=True):
        write_frame(folder / name, picture)
    media = Media(path=str(folder), kind="images", frames=tuple(range(len(names))), files=names)
    return replace(job, source=media)
