# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through words.py, never torch): what the methods' choices are called.

By field of the job's settings and choice: the name on the button, and its tooltip in plain words.
"""

from __future__ import annotations

from .words import n_

CHOICES = {
    "timestep_schedule": {
        "uniform": (n_("Uniform"), n_("Each step looks at an amount of noise drawn by chance")),
        "stratified": (
            n_("Stratified"),
            n_("Drawn by chance, but so that the steps together cover the whole range evenly"),
        ),
        "descending": (
            n_("Descending"),
            n_(
                "From much noise, which decides on large shapes, to little, which decides on detail"
            ),
        ),
    },
    "step_rule": {
        "calibrated": (
            n_("Calibrated"),
            n_("Measured in the first steps, so that Step Size means the same for every clip"),
        ),
        "fixed": (n_("Fixed"), n_("Effective Step as it is, whatever the clip: as in the papers")),
    },
    "optimiser": {
        "sgd": (
            n_("SGD"),
            n_("Gradient descent, as in the papers: what the model wants strongly changes more"),
        ),
        "adam": (
            n_("Adam"),
            n_("All places change at a like pace, also where the model wants little"),
        ),
    },
    "mask_scope": {
        "dds": (
            n_("Edit Alone"),
            n_("As in the paper: the mask limits the edit, and structure is compared all over"),
        ),
        "all": (n_("Everything"), n_("Structure, too, is compared only where the mask is white")),
    },
    "similarity_rule": {
        "calibrated": (
            n_("Calibrated"),
            n_("Shares of the edit's own strength: they mean the same for every clip"),
        ),
        "fixed": (n_("Fixed"), n_("The weights as they are, whatever the clip: as in the paper")),
    },
    "smoothing_of": {
        "prediction": (
            n_("Prediction"),
            n_("The noise that the model predicts for neighbouring frames: as in the paper"),
        ),
        "residual": (
            n_("Residual"),
            n_("Only what it predicts beyond each frame's own noise: no grain in the result"),
        ),
    },
    "reading": {
        "below": (
            n_("Below"),
            n_("Frames that differ little are smoothed, as the paper prints it"),
        ),
        "above": (n_("Above"), n_("Frames that differ much are smoothed")),
    },
}
