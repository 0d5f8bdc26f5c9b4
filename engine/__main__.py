# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (torch comes in with engine/*/, inside functions): `python -m engine`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import errors, job_store
from .client import ENGINE_VARIABLES
from .command_line import PROGRAM, EditCommand, make_parser, read_edit_command, wants_json
from .console import cancel_on_interrupt, print_error, tell
from .environment import MARKER, verify
from .environment_setup import run_setup
from .job import EditJob
from .models_command import list_models, verify_models
from .output_folder import Plan, prepared_folder
from .protocol import Done, Failure, Message, Ready
from .registry import find_backbone, installed_backbones
from .reporter import ProtocolReporter, Reporter
from .request import EditRequest
from .schema import dumps
from .server import Channel, RunJob, run_held, run_one, serve

EXTENSION_ROOT = Path(__file__).resolve().parent.parent
LOCKS = EXTENSION_ROOT / "vendor" / "locks"
DEFAULT_ENVIRONMENT = EXTENSION_ROOT / ".venv"

Send = Callable[[Message], None]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code (see engine/errors.py)."""
    arguments = make_parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = COMMANDS[arguments.command]
    for name, value in ENGINE_VARIABLES.items():
        os.environ.setdefault(name, value)
    try:
        return command(arguments)
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return errors.EXIT_CANCELLED
    except Exception as error:  # noqa: BLE001 - process border: a sentence and an exit code
        told = _as_told(error)
        print_error(told)
        return told.exit_code


def _setup(arguments: argparse.Namespace) -> int:
    return run_setup(
        root=arguments.root or DEFAULT_ENVIRONMENT,
        locks=LOCKS,
        flavour=arguments.flavour,
        python=arguments.python or Path(sys.executable),
        index_url=arguments.index_url,
        download=arguments.download and arguments.download.absolute(),
        wheels=arguments.wheels and arguments.wheels.absolute(),
        verify_only=arguments.verify,
        must_repair=arguments.repair,
        print_line=lambda line: print(line, flush=True),
    )


def _edit(arguments: argparse.Namespace) -> int:
    send = Channel().send if wants_json(vars(arguments)) else None
    cancel = cancel_on_interrupt()
    with contextlib.ExitStack() as stack:
        try:
            command = read_edit_command(vars(arguments))
            job_dir = command.output.expanduser().absolute()
            job = _make_job(command.request)
            note = find_backbone(job.backbone).note
            folder = prepared_folder(job_dir, job, overwrite=command.overwrite)
            plan = stack.enter_context(folder)
        except Exception as error:  # told to whoever reads the messages, then raised as it was
            if send:
                told = _as_told(error)
                send(Failure("", told.code, told.message, told.hint))
            raise
        if note:
            print(note, file=sys.stderr)
        end = _finish(plan, job_dir, send, cancel, command)
    if send:
        send(end)
    return tell(end, is_json=send is not None)


def _make_job(request: EditRequest) -> EditJob:
    from .editing.prepare import make_job

    try:
        return make_job(request)
    except OSError as error:  # such as a name of more than 255 bytes
        raise errors.InvalidJobError(
            f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.",
            hint="Check the clip, the mask and the backbone.",
        ) from error


def _finish(
    plan: Plan, job_dir: Path, send: Send | None, cancel: threading.Event, command: EditCommand
) -> Message:
    """Run a folder that is prepared and held, unless it is done."""
    if plan == "done":
        print(f"{job_dir} has the result of this edit already.", file=sys.stderr)
        return Done(str(job_dir), str(job_dir / job_store.RESULT))
    folder = command.references.expanduser().absolute() if command.references else None
    run_job = _runner(folder, command.references_mb if folder else 0)
    if send:
        reporter = ProtocolReporter(send, job=str(job_dir), cancel=cancel)
        return run_held(job_dir, run_job, reporter)
    from .editing.terminal import TerminalReporter

    with TerminalReporter(cancel) as reporter:
        return run_held(job_dir, run_job, reporter)


def _runner(references: Path | None, references_mb: int, backbones: Any = None) -> RunJob:
    """What runs a job; imports torch.

    Args:
        references: Folder of references; none: “references” beside the job folder.
        references_mb: Most that it may take; 0: nothing is kept.
        backbones: Keeps models loaded between jobs.
    """
    from .editing.references import ReferenceStore
    from .editing.run import run_job

    def run(job_dir: Path, reporter: Reporter) -> Path:
        folder = references or job_dir.parent / job_store.REFERENCES
        store = ReferenceStore(folder, references_mb * 10**6) if references_mb > 0 else None
        return run_job(job_dir, reporter, backbones=backbones, store=store)

    return run


def _run(arguments: argparse.Namespace) -> int:
    send = Channel().send
    job_dir = arguments.job_dir.expanduser().absolute()
    reporter = ProtocolReporter(send, job=str(job_dir), cancel=cancel_on_interrupt())
    end = run_one(job_dir, _runner(None, arguments.references_mb), reporter)
    send(end)
    return tell(end, is_json=True)


def _serve(arguments: argparse.Namespace) -> int:
    loaded: list[Any] = []  # the models; made by `prepare`, once torch is there

    def prepare() -> Ready:
        try:
            from .backbones.loading import LoadedBackbones
            from .editing import run  # noqa: F401 - the time of its imports belongs to the start
            from .editing.machine import ready
        except ModuleNotFoundError as error:
            raise _no_environment(error) from error
        loaded.append(LoadedBackbones(arguments.memory))
        return ready()

    def run_job(job_dir: Path, reporter: Reporter) -> Path:
        return _runner(None, arguments.references_mb, loaded[0])(job_dir, reporter)

    code = serve(
        run_job,
        prepare=prepare,
        unload=lambda: loaded[0].unload(),
        idle_seconds=arguments.idle_minutes * 60,
    )
    sys.stderr.flush()
    os._exit(code)  # all is written; taking torch apart would only delay the end


def _probe(_arguments: argparse.Namespace) -> int:
    root = Path(sys.prefix)
    facts: dict[str, Any] = {
        "python": sys.version.split()[0],
        "environment": {"root": str(root), "status": "not made by setup", "problems": []},
        "backbones": [
            {
                "id": card.id,
                "title": card.title,
                "licence": card.licence,
                "folder": str(card.folder),
            }
            for card in installed_backbones()
        ],
        "versions": {},
        "devices": [],
    }
    if (root / MARKER).exists():
        state = verify(root, LOCKS)
        facts["environment"] |= {"status": state.status, "problems": list(state.problems)}
    try:
        from .editing.machine import devices, versions

        facts |= {"versions": versions(), "devices": devices()}
    finally:
        print(dumps(facts, indent=1))
    return errors.EXIT_DONE


def _models(arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        return list_models(print)
    return verify_models(arguments.names, print)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "setup": _setup,
    "edit": _edit,
    "run": _run,
    "serve": _serve,
    "probe": _probe,
    "models": _models,
}


def _as_told(error: Exception) -> errors.EngineError:
    """Any error as a sentence and an exit code."""
    if isinstance(error, errors.EngineError):
        return error
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "engine":
        return _no_environment(error)
    message = f"Unexpected {type(error).__name__}: {error}"
    return errors.EngineError(message, hint="DELTA_STRIP_DEBUG=1 shows where.")


def _no_environment(error: ModuleNotFoundError) -> errors.EnvironmentSetupError:
    return errors.EnvironmentSetupError(
        f"{sys.executable} has no {error.name}.",
        hint=f"Make the engine's environment with: {PROGRAM} setup; then use its Python.",
    )


if __name__ == "__main__":
    sys.exit(main())
