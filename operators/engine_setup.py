# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the work of installing, verifying and removing
the engine, as the preferences ask for it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from .. import preferences
from ..engine.errors import EngineError, EnvironmentSetupError
from . import jobs
from .setup_task import machine, setup
from .words import n_, rpt_

if TYPE_CHECKING:  # imported late: 2 ms that Blender's start need not spend
    from ..engine.environment import EnvironmentSpec, EnvironmentState
    from ..engine.install_plan import InstallPlan
    from ..engine.job import Device
    from ..engine.setup_progress import SetupProgress


def setup_log() -> Path:
    """File with every line of the last installation or check."""
    return preferences.user_folder() / "setup.log"


def make_spec(wheels: Path | None = None) -> EnvironmentSpec:
    """The environment the preferences ask for; a finished one keeps its build of torch.

    Raises:
        EnvironmentSetupError: The package index or the folder of packages cannot be used.
    """
    from ..engine.environment import EnvironmentSpec, verify

    root = preferences.environment_folder()
    chosen = preferences.get_preferences()
    build, python = chosen.build, bpy.path.abspath(chosen.build_python.strip())
    flavour = verify(root, preferences.LOCKS).flavour if build == "auto" else build
    return EnvironmentSpec(
        root=root,
        locks=preferences.LOCKS,
        flavour=flavour or "cpu",
        python=Path(python or sys.executable),
        index_url="" if wheels else chosen.index_url.strip(),
        wheels=wheels,
    )


def make_plan(*, is_local: bool) -> InstallPlan:
    """What an installation would need and find; quick enough for drawing."""
    from ..engine.install_plan import plan_install

    build = preferences.get_preferences().build
    root = preferences.environment_folder()
    return plan_install(root, build, machine.gpus, is_local=is_local)


def install(spec: EnvironmentSpec, *, is_chosen: bool, must_repair: bool) -> EnvironmentState:
    """Make or repair the environment; runs in the thread.

    Args:
        spec: What to make.
        is_chosen: Whether its build of torch was asked for, and is not to be found out.
        must_repair: Whether to keep what is whole.
    """
    # Here: 6 ms that Blender's start need not spend.
    from ..engine.environment_build import create, repair

    spec = _decided(spec, is_chosen)
    work = repair if must_repair else create
    state = work(spec, on_line=setup.show, cancel=setup.cancel)
    setup.outcome = n_("The engine is installed, and has passed its test edit.")
    return state


def _decided(spec: EnvironmentSpec, is_chosen: bool) -> EnvironmentSpec:
    """The spec with its build of torch; runs in the thread, as it may ask the package index."""
    from ..engine.environment import verify
    from ..engine.environment_setup import choose_flavour

    if is_chosen or verify(spec.root, spec.locks).flavour is not None:
        return spec
    flavour, reason = choose_flavour(spec, on_line=setup.show, cancel=setup.cancel)
    setup.show(reason)
    return replace(spec, flavour=flavour)


def check(root: Path | None, python: Path, device: Device) -> EnvironmentState | None:
    """Look at every file of the own environment, then try an edit; runs in the thread.

    Args:
        root: The own environment; none when the engine is an existing Python.
        python: What runs the engine.
        device: Where to try it.
    """
    from ..engine.environment import verify
    from ..engine.self_test import tiny_edit

    state = None
    if root is not None:
        setup.show("Looking at every file of the engine's environment.")
        state = verify(root, preferences.LOCKS, is_deep=True)
        setup.state, setup.root = state, root
        if not state.is_ready:
            raise EnvironmentSetupError(" ".join(state.problems), hint=rpt_("Repair the engine."))
    setup.show("Testing the engine with a tiny edit.")
    setup.outcome = tiny_edit(python, setup.show, setup.cancel, device=device)
    setup.show(setup.outcome)
    return state


def save(spec: EnvironmentSpec, folder: Path, *, is_chosen: bool) -> None:
    """Save the packages of an environment; runs in the thread."""
    from ..engine.environment_setup import save_packages

    save_packages(_decided(spec, is_chosen), folder, on_line=setup.show, cancel=setup.cancel)
    setup.outcome = setup.line


def take_away(root: Path) -> EnvironmentState:
    """Remove the environment; runs in the thread."""
    from ..engine.environment import verify
    from ..engine.environment_build import remove

    setup.show(f"Removing {root}.")
    remove(root)
    setup.outcome = n_("The engine was removed.")
    return verify(root, preferences.LOCKS)


def start_installation(*, must_repair: bool = False, wheels: Path | None = None) -> None:
    """Begin to install or repair the engine's own environment.

    Raises:
        EnvironmentSetupError: A preference cannot be honoured.
    """
    spec = make_spec(wheels)
    is_chosen = preferences.get_preferences().build != "auto"
    jobs.queue.stop_engine(must_wait=True)
    setup.state = None  # looked at again, also when the installation fails
    setup.start(
        lambda: install(spec, is_chosen=is_chosen, must_repair=must_repair),
        log=setup_log(),
        changes_engine=True,
        progress=_progress(spec),
    )


def known_state() -> EnvironmentState:
    """What is known of the own environment: looked at once, and by each setup."""
    root = preferences.environment_folder()
    if setup.state is None or setup.root != root:
        from ..engine.environment import verify

        setup.state, setup.root = verify(root, preferences.LOCKS), root
    return setup.state


def was_interrupted() -> bool:
    """Whether an installation into the chosen folder ended in the middle."""
    from ..engine.environment_place import was_interrupted

    return was_interrupted(preferences.environment_folder())


def status_line() -> tuple[str, bool]:
    """The engine's state in one sentence, and whether it can run. Quick enough for drawing."""
    try:
        python = preferences.engine_python()
    except EngineError as error:
        return rpt_(error.message), False
    if preferences.is_managed():
        state = known_state()
        if state.status == "outdated":
            text = rpt_("The engine was made for another version of Delta Strip: install it.")
            return text, False
        if not state.is_ready:
            problems = " ".join(state.problems)
            return rpt_("The engine is damaged: {problems} Repair it.", problems=problems), False
    named = os.environ.get(preferences.PYTHON_VARIABLE)
    origin = f" ({preferences.PYTHON_VARIABLE})" if named and Path(named) == python else ""
    return rpt_("Engine: {python}", python=f"{python}{origin}"), True


def why_no_setup() -> str:
    """Why the engine cannot be set up now; empty when it can."""
    if setup.is_running:
        return rpt_("The engine is being set up")
    is_busy = jobs.queue.is_busy
    return rpt_("Edits are running: wait for them, or cancel them") if is_busy else ""


def start_saving(folder: Path) -> None:
    """Begin to save the engine's packages for a computer without a network.

    Raises:
        EnvironmentSetupError: A preference cannot be honoured.
    """
    spec = make_spec()
    is_chosen = preferences.get_preferences().build != "auto"
    setup.start(
        lambda: save(spec, folder, is_chosen=is_chosen),
        log=setup_log(),
        changes_engine=False,
        progress=_progress(spec),
    )


def _progress(spec: EnvironmentSpec) -> SetupProgress:
    from ..engine.environment import locked_names
    from ..engine.environment_place import beside
    from ..engine.setup_progress import SetupProgress

    count = len(locked_names(spec.locks, spec.flavour))
    return SetupProgress(count, beside(spec.root, "tmp"))


def start_check() -> None:
    """Begin to verify the engine.

    Raises:
        EnvironmentSetupError: There is none.
    """
    python = preferences.engine_python()
    root = preferences.environment_folder() if preferences.is_managed() else None
    device = preferences.engine_device()
    setup.start(lambda: check(root, python, device), log=setup_log(), changes_engine=False)


def start_removal() -> None:
    """Begin to remove the engine's own environment."""
    root = preferences.environment_folder()
    jobs.queue.stop_engine(must_wait=True)
    setup.state = None
    setup.start(lambda: take_away(root), log=setup_log(), changes_engine=True)


def why_blocked() -> str:
    """Why no edit may begin now; empty when one may."""
    is_blocked = setup.is_running and setup.changes_engine
    return rpt_("The engine is being set up.") if is_blocked else ""
