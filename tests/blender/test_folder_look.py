# SPDX-License-Identifier: GPL-3.0-or-later
"""A window does not wait for folders that do not answer."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

ONE, TWO = [Path("one")], [Path("two")]


class Timers:
    """Blender's timers in a window, fired by hand."""

    def __init__(self):
        self.functions = []

    def register(self, function, **_options):
        self.functions.append(function)

    def unregister(self, function):
        self.functions.remove(function)

    def is_registered(self, function):
        return function in self.functions

    def fire(self):
        self.functions = [function for function in self.functions if function() is not None]


@pytest.fixture
def timers(part, monkeypatch):
    found = Timers()
    app = SimpleNamespace(background=False, timers=found)
    context = SimpleNamespace(window_manager=SimpleNamespace(windows=[]))
    for name in ("folder_look", "background_work", "jobs"):
        fake = SimpleNamespace(app=app, context=context)
        monkeypatch.setattr(part(f"operators.{name}"), "bpy", fake)
    return found


class Disk:
    """Answers when it is told to."""

    def __init__(self):
        self.asked, self.answer = [], threading.Event()

    def read(self, roots):
        self.asked.append(roots)
        assert self.answer.wait(10)
        if roots == [Path("broken")]:
            raise ValueError("no such disk")
        return roots


@pytest.fixture
def disk():
    found = Disk()
    yield found
    found.answer.set()


@pytest.fixture
def shown():
    return []


@pytest.fixture
def look(part, timers, disk, shown):
    made = part("operators.folder_look").FolderLook("test", disk.read, shown.append)
    yield made
    made.close()
    part("operators.background_work")._every.remove(made)


def test_a_slow_disk_is_waited_for_by_a_thread(look, timers, disk, shown):
    look.look(ONE)
    timers.fire()
    assert (shown, look.is_running) == ([], True)
    disk.answer.set()
    look.wait()
    timers.fire()
    assert shown == [ONE]
    assert not timers.functions


def test_what_changes_meanwhile_is_looked_at_after_it_and_once(look, timers, disk, shown):
    look.look(ONE)
    look.look(TWO)
    look.look(TWO)
    disk.answer.set()
    for _ in range(3):
        look.wait()
        timers.fire()
    assert disk.asked == [ONE, TWO]
    assert shown == [ONE, TWO]
    look.look(ONE)
    look.wait()
    timers.fire()
    assert shown == [ONE, TWO, ONE]


def test_nothing_is_shown_after_the_end(look, timers, disk, shown):
    look.look(ONE)
    look.look(TWO)
    thread = look._thread
    look.close()
    disk.answer.set()
    thread.join()
    timers.fire()
    assert (shown, disk.asked) == ([], [ONE])


def test_a_look_that_fails_leaves_what_is_shown_and_the_next_one_works(
    look, timers, disk, shown, capsys
):
    disk.answer.set()
    look.look([Path("broken")])
    look.wait()
    timers.fire()
    assert "no such disk" in look.problem
    assert shown == []
    look.look(ONE)
    look.wait()
    timers.fire()
    assert shown == [ONE]
