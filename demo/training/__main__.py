# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the demo backbone: the autoencoder, then the U-Net on images, on noise and on clips.

    python -m demo.training FOLDER [--minutes M] [--steps N] [--plan full|refine|smoke]
        [--begin MODEL] [--processes N]

FOLDER keeps clips, checkpoints, logs and sample sheets. Run it again and it goes on where it
stopped (clips and latents, a few minutes each, are made in one go); when all is trained it writes
FOLDER/model, ready for use.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import torch

from demo.training.folder import FolderError, claim
from demo.training.plan import PLANS
from demo.training.stages import TRAINED, train_all
from demo.training.workers import run_workers
from engine.errors import BackboneError
from engine.registry import find_backbone


def main() -> int:
    """Parse the command line and train; 0 everything is trained, 2 refused, 3 budget spent."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.training", description="Trains the demo backbone; resumes by itself."
    )
    parser.add_argument("folder", type=Path, help="for clips, checkpoints, logs and the model")
    parser.add_argument("--plan", choices=sorted(PLANS), default="full")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop after so long (default: never)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1 if torch.cuda.is_available() else min(os.cpu_count() or 1, 2),
        help="CPU processes of one thread each; the weights depend on their number",
    )
    parser.add_argument(
        "--steps",
        type=float,
        default=float("inf"),
        help="stop after so many (default: never)",
    )
    parser.add_argument(
        "--begin",
        metavar="MODEL",
        help="what a refining plan goes on from: a name, or a folder (default: the installed demo)",
    )
    given = parser.parse_args()
    if given.processes < 1:
        parser.error(f"--processes is {given.processes}; at least 1 is needed")
    plan = PLANS[given.plan]
    if given.begin is not None:
        if plan.begin is None:
            parser.error(f"--begin: the plan {given.plan!r} begins with random weights")
        plan = dataclasses.replace(plan, begin=given.begin)
    try:
        if plan.begin is not None:
            find_backbone(plan.begin)
        lock = claim(given.folder, plan, given.processes)
    except (FolderError, BackboneError) as error:
        print(error, file=sys.stderr)
        return 2
    trained = given.folder / TRAINED
    trained.unlink(missing_ok=True)
    try:
        run_workers(
            train_all,
            (given.folder, plan, time.time() + 60 * given.minutes, given.steps),
            world=given.processes,
            meeting=given.folder.resolve() / ".meeting",
        )
    finally:
        lock.release()
    if trained.exists():
        print(f"Trained: {given.folder / 'model'}")
        return 0
    print("The budget of this run is spent; run the same command again to go on.")
    return 3


if __name__ == "__main__":
    sys.exit(main())
