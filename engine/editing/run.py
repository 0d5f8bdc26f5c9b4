# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a job: loading, encoding, editing, decoding, writing (torch, never bpy)."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch

from .. import __version__, job_store
from ..atomic_file import write_atomic
from ..backbones.base import Backbone
from ..backbones.loading import (
    LoadedBackbones,
    choose_device,
    choose_dtype,
    image_backbone_for,
    is_out_of_memory,
)
from ..backbones.parallel import Threads, split_threads
from ..errors import CancelledError
from ..job import EditJob
from ..protocol import StageName
from ..registry import BackboneCard, find_backbone
from ..reporter import NotingReporter, Reporter
from ..schema import dumps
from .checkpoint import load_checkpoint, remove_checkpoint, save_checkpoint
from .edit import Edit
from .frames_in import encode_clip
from .frames_out import write_result_frames
from .identity import identity_of, reference_identity
from .machine import arithmetic, out_of_memory
from .preview import Preview
from .references import References, ReferenceStore
from .state import Clip, EditState
from .windows import tile

CHECKPOINT_SECONDS = 10.0
"""Most work that a crash can cost."""

LITTLE_PROGRESS = 0.6
"""Share of the asked-for strength below which an edit is called incomplete. Of 24 held-out edits
on the demo backbone those that dissolved ended at 0.51 to 0.53, the good ones from 0.61 up."""

SMALLER = 0.5
"""Share of the working area that is tried once after the memory ran out."""


def run_job(
    job_dir: Path,
    reporter: Reporter,
    *,
    backbones: LoadedBackbones | None = None,
    store: ReferenceStore | None = None,
) -> Path:
    """Run the job in a folder to its end, from its checkpoint where there is one.

    Args:
        job_dir: The job folder.
        reporter: Told about stages, progress and warnings; may cancel.
        backbones: Keeps models loaded between jobs.
        store: Keeps what the next edit of the same clip can use again; none: nothing is kept.

    Returns:
        The path of result.json, which is written last.

    Raises:
        EngineError: see engine/errors.py.
    """
    job = job_store.load(job_dir)
    run = _Run(job, job_dir, reporter, backbones or LoadedBackbones(), store)
    try:
        return run.execute(scale=1.0)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if job.size is not None:
            raise out_of_memory(run.device, error) from error
    reporter.warning(
        "The edit did not fit into memory; it is tried once more on a smaller working size.",
        hint="Close other programs that use the device, or set a smaller size yourself.",
    )
    run.free_memory()
    try:
        return run.execute(scale=SMALLER)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory(run.device, error) from error


class _Run:
    """One attempt's stages, and the notes that become result.json."""

    def __init__(
        self,
        job: EditJob,
        job_dir: Path,
        reporter: Reporter,
        backbones: LoadedBackbones,
        store: ReferenceStore | None,
    ) -> None:
        self.job = job
        self.job_dir = job_dir
        self.reporter = NotingReporter(reporter)
        self.backbones = backbones
        self.store = store
        self.references_read = 0
        self.card = find_backbone(job.backbone)
        self.device = choose_device(job.device)
        self.dtype = choose_dtype(job.precision, self.device)
        self.seconds: dict[str, float] = {}

    def free_memory(self) -> None:
        """Give back what a failed attempt still holds."""
        self.backbones.unload()

    def execute(self, *, scale: float) -> Path:
        """All stages; `scale` shrinks the working area."""
        with self._stage("loading"):
            backbone = self.backbones.get(self.card, device=self.device, dtype=self.dtype)
            self._share_threads(backbone)
        with self._stage("encoding"):
            clip, size, middle = encode_clip(
                self.job,
                self.job_dir,
                backbone,
                pixels=int(self.card.working_pixels * self.job.area_scale * scale),
                reporter=self.reporter,
            )
        working = (size.padded_width, size.padded_height)
        with self._stage("editing"):
            preview = Preview(backbone, middle, clip.z_source, size, self.job_dir)
            state = self._optimise(backbone, clip, working, preview)
        with self._stage("decoding"):
            shape = write_result_frames(
                self.job, self.job_dir, backbone, clip, state.z_average, size, self.reporter
            )
        with self._stage("writing"):
            path = self.job_dir / job_store.RESULT
            write_atomic(path, dumps(self._result(state, working, shape), indent=1) + "\n")
            remove_checkpoint(self.job_dir)
            job_store.remove(self.job_dir / job_store.PREVIEW)
        return path

    @contextmanager
    def _stage(self, name: StageName) -> Iterator[None]:
        self.reporter.check_cancelled()
        self.reporter.stage(name)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 3)

    def _share_threads(self, backbone: Backbone) -> None:
        """Give the job's threads to windows side by side, where there are several on a CPU."""
        windows = len(tile(self.job.frame_count, self.card.window_frames, 0))
        calls = windows if self.device.type == "cpu" else 1
        at_a_time, for_each = split_threads(self.job.threads, calls)
        torch.set_num_threads(for_each)
        backbone.threads = Threads(at_a_time)

    def _optimise(
        self, backbone: Backbone, clip: Clip, working: tuple[int, int], preview: Preview
    ) -> EditState:
        job = self.job
        self._warn_about_long_prompts(backbone)
        image = self._image_backbone(backbone)
        machine = arithmetic(self.device, self.dtype)
        cards = [self.card] if image is None else [self.card, image.card]
        references = self._references(clip, cards, working, machine)
        edit = Edit(
            backbone,
            clip,
            source_prompt=job.source_prompt,
            target_prompt=job.target_prompt,
            settings=job.settings,
            seed=job.seed,
            method=job.method,
            image_backbone=image,
            references=references,
            check=self.reporter.check_cancelled,
        )
        identity = identity_of(dumps(job), cards, working, machine)
        state = load_checkpoint(self.job_dir, identity, backbone.device) or edit.start()
        saved = time.monotonic()
        self.reporter.progress(state.step, job.settings.most_steps)
        try:
            while not state.is_finished:
                state = edit.advance(state)
                self.reporter.progress(state.step, job.settings.most_steps)
                if self.reporter.wants_previews and preview.update(state.z_average):
                    self.reporter.preview(self.job_dir / job_store.PREVIEW)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    save_checkpoint(self.job_dir, state, identity)
                    saved = time.monotonic()
        except CancelledError:
            save_checkpoint(self.job_dir, state, identity)
            raise
        save_checkpoint(self.job_dir, state, identity)
        self.references_read = references.read_count if references else 0
        self._warn_about_little_progress(state)
        return state

    def _references(
        self,
        clip: Clip,
        cards: list[BackboneCard],
        working: tuple[int, int],
        machine: tuple[str, ...],
    ) -> References | None:
        if self.store is None:
            return None
        windows = len(tile(len(clip.mask), self.card.window_frames, 1))
        return References(
            self.store,
            reference_identity(self.job, clip.z_source, cards, working, machine),
            count=windows * self.job.settings.most_steps,
            warn=lambda message, hint: self.reporter.warning(message, hint=hint),
        )

    def _image_backbone(self, backbone: Backbone) -> Backbone | None:
        own = self.job.settings.assd
        if self.job.method != "assd" or own.image_weight == 0:
            return None
        return image_backbone_for(
            backbone, own.image_backbone, self.backbones, device=self.device, dtype=self.dtype
        )

    def _warn_about_little_progress(self, state: EditState) -> None:
        settings = self.job.settings
        if not settings.use_stopping_rule or settings.strength == 0:
            return
        if state.start_preference > 0:
            self.reporter.warning(
                "The backbone finds the target prompt in the source already, so it cannot tell how "
                "far the edit has come.",
                hint="Say in both prompts what is there, with only the change between them.",
            )
        elif state.start_preference < 0 and state.progress < LITTLE_PROGRESS * settings.strength:
            steps = "1 step" if state.step == 1 else f"{state.step} steps"
            self.reporter.warning(
                f"After {steps} the backbone finds the target only "
                f"{max(state.progress, 0):.0%} of the way there; the edit may be incomplete.",
                # Not more strength alone: the steps ran out before that much was reached.
                hint="Look at the result; other words or a mask may help, or more steps or a "
                "larger step size (Advanced).",
            )

    def _warn_about_long_prompts(self, backbone: Backbone) -> None:
        for prompt in (self.job.source_prompt, self.job.target_prompt):
            count = backbone.token_count(prompt)
            if count > backbone.token_limit:
                self.reporter.warning(
                    f"“{prompt[:40]}…” has {count} tokens; the backbone reads the first "
                    f"{backbone.token_limit}, the rest has no effect.",
                    hint="Shorten the prompt.",
                )

    def _result(
        self, state: EditState, working: tuple[int, int], shape: tuple[int, int]
    ) -> dict[str, object]:
        return {
            "version": 1,
            "engine": __version__,
            "job": self.job.to_plain(),
            "frame_count": self.job.frame_count,
            "width": shape[0],
            "height": shape[1],
            "working_width": working[0],
            "working_height": working[1],
            "backbone": {
                "id": self.card.id,
                "title": self.card.title,
                "licence": self.card.licence,
            },
            "steps": state.step,
            "progress": state.progress,
            "effective_step": state.effective_step,
            "term_weights": list(state.term_weights),
            "gradient_norms": list(state.gradient_norms),
            "update_norms": list(state.update_norms),
            "references_read": self.references_read,
            "seconds": self.seconds,
            "warnings": self.reporter.warnings,
            "machine": {
                "device": str(self.device),
                "precision": str(self.dtype).removeprefix("torch."),
                "threads": self.job.threads,
                "cpu_capability": torch.backends.cpu.get_cpu_capability(),
                "platform": platform.platform(),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "diffusers": diffusers.__version__,
            },
        }
