# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a running job: written now and then, and without any effect on the result."""

import numpy as np
import torch
from PIL import Image

from engine import job_store
from engine.editing.frames_in import SourceFrame
from engine.editing.preview import MOST_SHARE, Preview
from engine.reporter import Reporter
from engine.video.geometry import working_size
from tests.engine.clips import movie_job, run


class Looker(Reporter):
    """Keeps the pictures it is told about."""

    wants_previews = True

    def __init__(self):
        self.pictures = []

    def preview(self, path):
        with Image.open(path) as picture:
            self.pictures.append(np.asarray(picture))


def test_a_preview_shows_the_middle_frame_before_and_after_and_changes_no_pixel(tmp_path):
    job, clip = movie_job(tmp_path / "in")
    expected, _ = run(job, tmp_path / "unseen")
    looker = Looker()
    frames, _ = run(job, tmp_path / "seen", looker)
    assert np.array_equal(frames, expected)
    for name in ("seen", "unseen"):
        assert not (tmp_path / name / job_store.PREVIEW).exists()
    middle = len(clip.frames) // 2
    before, after = np.split(looker.pictures[0], 2, axis=1)
    assert np.array_equal(before, clip.frames[middle])
    assert not np.array_equal(after[clip.alpha[middle] > 0.9], before[clip.alpha[middle] > 0.9])
    outside = clip.alpha[middle] == 0
    assert np.array_equal(after[outside], before[outside])


def test_a_wide_picture_is_above_its_edit_and_no_larger_than_needed(tmp_path):
    job, _ = movie_job(tmp_path / "in", frames=1, width=640, height=360)
    looker = Looker()
    run(job, tmp_path / "job", looker)
    assert looker.pictures[0].shape == (2 * 144, 256, 3)


def test_previews_take_a_small_share_of_the_time(tmp_path):
    _, clip = movie_job(tmp_path / "in", frames=1)
    now = [0.0]

    class Slow:
        def decode(self, latents):
            now[0] += 1.0
            return torch.zeros(len(latents), 3, 64, 64)

    size = working_size(64, 64, pixels=4096, multiple=16)
    frame = SourceFrame(clip.frames[0], None)
    latents = torch.zeros(1, 4, 16, 16)
    preview = Preview(Slow(), frame, latents, size, tmp_path, clock=lambda: now[0])
    written = 0
    for _ in range(1000):
        now[0] += 1.0
        written += preview.update(latents)
    assert 2 <= written <= 1 + 1000 * MOST_SHARE
