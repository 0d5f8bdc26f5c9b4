# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the queue of jobs; `poll` does all its work, never blocking.

In a window a timer calls `poll`; in background mode, where timers never fire, the operator loops
over it. A job here is a folder and words: no Blender object is kept, so undo and loading a file are
safe.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from .. import preferences
from ..engine import job_store
from ..engine.errors import EngineError
from ..engine.protocol import Cancelled, Done, Failure, Message, Ready
from . import background_render, result_import, timings
from .queued_job import ACTIVE, QueuedJob
from .words import rpt_

if TYPE_CHECKING:
    from ..engine.client import EngineProcess

BUSY_SECONDS = 0.1
IDLE_SECONDS = 1.0
REDRAW_SECONDS = 0.25
_CANCELLED = "cancelled"


class Queue:
    """Jobs in order, one at a time, and the engine that stays alive between them."""

    def __init__(self) -> None:
        self.jobs: list[QueuedJob] = []
        self.engine: EngineProcess | None = None
        self.device = ""
        self.free_bytes = 0  # of the device's memory, when the engine started
        self.backbone = ""  # what the engine has loaded, as jobs call it
        self.engine_problem = ""
        self._engine_argv: list[str] = []
        self._render: background_render.BackgroundRender | None = None

    @property
    def current(self) -> QueuedJob | None:
        """The job that is being worked on."""
        return next((job for job in self.jobs if job.state in ACTIVE), None)

    @property
    def is_busy(self) -> bool:
        """Whether any job is waiting or active."""
        return any(job.is_open for job in self.jobs)

    def add(self, job: QueuedJob) -> None:
        """Put a job at the end; an earlier entry of the same folder goes."""
        self.jobs = [old for old in self.jobs if old.folder != job.folder]
        self.jobs.append(job)
        wake()

    def move(self, job: QueuedJob, places: int) -> None:
        """Have a waiting job run earlier (-1) or later (1) than the waiting one beside it."""
        waiting = [other for other in self.jobs if other.state == "waiting"]
        if job not in waiting:
            return
        target = waiting.index(job) + places
        if 0 <= target < len(waiting):
            here, there = self.jobs.index(job), self.jobs.index(waiting[target])
            self.jobs[here], self.jobs[there] = self.jobs[there], self.jobs[here]

    def step(self) -> None:
        """Do what can be done now. Raises nothing: what goes wrong ends the job it happened to."""
        try:
            if self.engine is not None:
                for message in self.engine.poll():
                    self._receive(message)
            job = self.current or next((j for j in self.jobs if j.state == "waiting"), None)
            if job is not None:
                self._advance(job)
        except EngineError as error:
            self._fail(error.message, error.hint)
        except OSError as error:
            self._fail(rpt_("A file or program cannot be used: {reason}.", reason=error))
        except Exception as error:  # noqa: BLE001 - Blender drops a timer that raises, for ever
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
            self._fail(rpt_("Something unexpected happened: {reason}", reason=reason))

    def cancel(self, job: QueuedJob) -> None:
        """Stop a job; what it has done so far stays in its folder."""
        if job.state == "running" and self.engine is not None:
            job.is_cancelling = True
            self.engine.cancel()
        elif job.is_open:
            if job.state == "exporting":
                self._drop_render()
            if job.state != "importing":  # a finished result is kept
                _record_cancel(job.folder, "Cancelled before it began.")
            job.end("cancelled")

    def stop_engine(self, *, must_wait: bool = False) -> None:
        """End the engine; the running job fails, and can be resumed.

        Only who touches the engine's files next, or ends Blender, must wait until it has gone.
        """
        if self.engine is not None:
            self.engine.close(must_wait=must_wait)
        self.engine, self.device, self.backbone, self.engine_problem = None, "", "", ""
        for job in self.jobs:
            if job.state == "running":
                job.end("failed", rpt_("The engine was stopped."), rpt_("Resume the job."))

    def shut_down(self) -> None:
        """End everything that runs; waiting jobs are offered again at the next start."""
        self._drop_render()
        self.stop_engine(must_wait=True)
        for job in self.jobs:
            job.lock.release()
        self.jobs.clear()

    def _advance(self, job: QueuedJob) -> None:
        if job.state == "waiting":
            if self.engine is not None and self.engine.job:
                return  # the engine has not let go of the last job yet
            background_render.share(job.folder)
            if background_render.is_needed(job.folder):
                self._render = background_render.BackgroundRender(job.folder)
                job.state = "exporting"
            elif job_store.state(job.folder) == "done":
                job.state = "importing"
            else:
                self._run(job)
        elif job.state == "exporting" and self._render is not None:
            job.done, job.total = self._render.done, self._render.total
            if self._render.poll():
                self._render = None
                self._run(job)
        elif job.state == "importing" and not bpy.app.is_job_running("RENDER"):
            self._import(job)

    def _run(self, job: QueuedJob) -> None:
        engine = self._ready_engine()
        job.state, job.stage, job.done, job.total = "running", "", 0, 0
        job.is_whole_run = not (job.folder / job_store.CHECKPOINT).exists()
        engine.start()
        engine.run(job.folder)

    def _ready_engine(self) -> EngineProcess:
        # Here: 6 ms that Blender's start need not spend.
        from ..engine.client import EngineProcess, engine_command

        python, options = preferences.engine_python(), preferences.worker_options()
        argv, env = engine_command(python, preferences.EXTENSION_ROOT, options)
        if self.engine is not None and argv != self._engine_argv:
            self.stop_engine()  # the preferences name another Python now
        if self.engine is None:
            folder = preferences.user_folder()
            self.engine = EngineProcess(argv, cwd=folder, env=env, log_path=engine_log())
            self._engine_argv = argv
        self.engine_problem = ""
        return self.engine

    def _import(self, job: QueuedJob) -> None:
        placement = result_import.load_placement(job.folder)
        name = None
        if placement is not None:
            name = result_import.import_result(job.folder, job.job, placement)
        if name is None:
            hint = rpt_("It waits in Results. Open its file to insert it above its strip.")
            if placement and placement.blend:
                file = Path(placement.blend).name
                hint = rpt_(
                    "It waits in Results. Open {file} to insert it above its strip.", file=file
                )
            text = rpt_("The edit is finished, but its strip is not in the open file.")
            job.end("kept", text, hint)
            return
        job_store.mark_imported(job.folder)
        if job.is_whole_run:
            timings.record(job.folder, job.job)
        job.result_name = name
        job.end("done")

    def _receive(self, message: Message) -> None:
        if isinstance(message, Ready):
            self.device, self.free_bytes = message.device, message.free_bytes
        if isinstance(message, Failure) and not message.job:
            self.engine_problem = f"{message.message} {message.hint}".strip()
            self.device = self.backbone = ""
        job = self.current
        if job is None or job.state != "running" or not _is_about(message, job):
            return
        if isinstance(message, Done):
            job.state, self.backbone = "importing", job.job.backbone
        elif isinstance(message, Cancelled):
            self.backbone = ""  # it frees its memory
            _record_cancel(job.folder, "Cancelled.")
            job.end("cancelled")
        elif isinstance(message, Failure):
            job.code = message.code
            job.end("failed", message.message, message.hint)
        else:
            job.follow(message)

    def _fail(self, message: str, hint: str = "") -> None:
        """End the job that is being worked on, or is the next one."""
        self._drop_render()
        job = self.current or next((j for j in self.jobs if j.state == "waiting"), None)
        if job is None:
            print(f"Delta Strip: {message} {hint}".strip())
            return
        if job.state == "running" and self.engine is not None:
            self.engine.cancel()  # it may have been given the job already
        job.end("failed", message, hint)

    def _drop_render(self) -> None:
        if self._render is not None:
            self._render.close()
            self._render = None


queue = Queue()
after_end: list[Callable[[], None]] = []
"""Called by `poll` after a job has ended, in whatever way."""
after_redraw: list[Callable[[], None]] = []
"""Called when the sequencers are redrawn: what else shows the queue."""
_last_redraw = 0.0


def _is_about(message: Message, job: QueuedJob) -> bool:
    folder = getattr(message, "job", "")
    return bool(folder) and Path(folder) == job.folder


def _record_cancel(folder: Path, message: str) -> None:
    """Have the folder say so, or the job would be offered again as an unfinished one.

    An engine that was still starting, or that was ended by force, could not write it itself.
    """
    failure = job_store.read_failure(folder)
    if failure is None or failure.code != _CANCELLED:
        with contextlib.suppress(EngineError):  # a full disk: then it is offered again
            job_store.write_failure(folder, _CANCELLED, message)


def engine_log() -> Path:
    """File with everything the engine wrote to stderr."""
    return preferences.user_folder() / "engine.log"


def poll() -> float | None:
    """One tick of the queue; returns the seconds to the next one, None to end the timer."""
    open_jobs = [job for job in queue.jobs if job.is_open]
    queue.step()
    if not all(job.is_open for job in open_jobs):
        for function in after_end:
            function()
    redraw()
    if queue.is_busy:
        return BUSY_SECONDS
    is_alive = queue.engine is not None and queue.engine.state != "stopped"
    return IDLE_SECONDS if is_alive else None


def redraw() -> None:
    """Redraw the sequencers, at most four times a second while jobs run."""
    global _last_redraw
    now = time.monotonic()
    if queue.is_busy and now - _last_redraw < REDRAW_SECONDS:
        return
    _last_redraw = now
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()
    for function in after_redraw:
        function()


def wake() -> None:
    """Have the timer run; in background mode the caller loops over `poll`."""
    if bpy.app.background:
        return
    if bpy.app.timers.is_registered(poll):
        bpy.app.timers.unregister(poll)  # it may sleep for another second
    bpy.app.timers.register(poll, first_interval=0.01, persistent=True)


def run_to_end(jobs: list[QueuedJob]) -> None:
    """Loop over `poll` until these jobs have ended (background mode)."""
    while any(job.is_open for job in jobs):
        poll()
        time.sleep(0.02)
