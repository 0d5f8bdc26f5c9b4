# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window after film_script.py has died: the job it left is offered again."""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import steps
import tab
from steps import FOLDER, fact, part, picture, wait
from tab import jobs, names

resume = tab.Button("resume", 1320, 310, 890)
engine = {"scenario": "slow", "steps": "10", "seconds": "0.15"}


def open_film() -> None:
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "film.blend"))


def show_tab() -> None:
    for area in tab.sequencers():
        tab.show(area)


def check_offer() -> None:
    found = part("operators.recovery").found
    fact(offered=[str(item.folder) for item in found], before=names())
    picture("film_offered.png")


def check_end() -> None:
    fact(ended=[job.state for job in jobs()], after=names())
    fact(offered_again=len(part("operators.recovery").found))
    picture("film_recovered.png")
    tab.wait_for_programs()


steps.run(
    [
        (lambda: tab.install(engine), 1.0),
        (open_film, 3.0),
        (show_tab, 1.0),
        (tab.open_tab, 2.0),
        (tab.scroll(60), 3.0),
        (tab.scroll(-3), 1.5),  # with the panel's title
        (check_offer, 0.5),
        (resume.look, 1.0),
        (resume.click, 1.0),
        (wait(lambda: jobs() and not jobs()[-1].is_open, "the resumed job has ended"), 2.0),
        (tab.scroll(-80), 3.0),
        (check_end, 0.5),
        (bpy.ops.wm.quit_blender, 1.0),
    ]
)
