# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): `python -m engine models`.

What it says of a backbone is made here, so that other places can say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import errors
from .console import print_error
from .registry import BackboneCard, KnownModel, find_backbone, installed_backbones, known_models


def described(model: KnownModel, installed: Sequence[BackboneCard]) -> list[str]:
    """What an editor must know of a model before it is fetched: title, licence, size, where."""
    here = next((card for card in installed if card.id == model.id), None)
    where = f"{model.repository} at {model.revision}, not part of Delta Strip"
    return [
        f"{model.id}: {model.title}",
        f"  licence {model.licence}; {model.kind}; {model.disk_gigabytes:g} GB on disk, "
        f"weights {model.memory_gigabytes:g} GB in a GPU's memory",
        f"  {where if here is None else here.folder}",
    ]


def verified(card: BackboneCard) -> str:
    """A sentence about a backbone whose files are all as they must be.

    Raises:
        BackboneError: they are not.
    """
    card.verify()
    with_checksum = sum(bool(file.sha256) for file in card.files)
    return (
        f"{card.id}: {card.title} in {card.folder}: licence {card.licence}; "
        f"checksums right: {with_checksum}; all other files that are needed are there."
    )


def list_models(print_line: Callable[[str], None]) -> int:
    """Say what is known of every model; the exit code."""
    installed = installed_backbones()
    for model in known_models():
        for line in described(model, installed):
            print_line(line)
    return errors.EXIT_DONE


def verify_models(names: Sequence[str], print_line: Callable[[str], None]) -> int:
    """Verify backbones by id or folder, all that are installed where none is named; exit code.

    What is wrong with one does not keep the others from being verified.
    """
    code = errors.EXIT_DONE
    for name in names or [card.id for card in installed_backbones()]:
        try:
            print_line(verified(find_backbone(name)))
        except errors.BackboneError as error:
            print_error(error)
            code = error.exit_code
    return code
