# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy through preferences, never torch): which model edits, and whether it can.

Nothing but the demo model is known without the list of model folders. A chosen folder that cannot
be used is an error wherever an edit is asked for; no other model takes its place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import preferences
from ..engine.errors import EngineError
from ..engine.job import EditSettings, with_settings
from ..engine.model_folder import IMAGE_KIND, VIDEO_KIND
from ..engine.registry import DEFAULT_BACKBONE, BackboneCard, as_card, find_backbone
from .shared_files import changing, shared_file
from .words import rpt_

if TYPE_CHECKING:  # imported late: 2 ms that Blender's start need not spend
    from ..engine.model_library import ModelEntry, ModelLibrary

_FILE = "models.json"


class KnownModels:
    """The list of model folders.

    Attributes:
        problem: Why the list cannot be read or kept; empty when it can.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._library: ModelLibrary | None = None
        self._is_written = True

    @property
    def library(self) -> ModelLibrary:
        """The folders; read once."""
        from ..engine.model_library import ModelLibrary, read_library

        if self._library is None:
            try:
                self._library = read_library(library_file())
            except EngineError as error:
                self.problem = rpt_(
                    "The list of model folders is lost, add them again. {error}", error=error
                )
                self._library = ModelLibrary()
        return self._library

    def change(self, change: Callable[[ModelLibrary], ModelLibrary], path: Path) -> None:
        """Change the list; touches no bpy.

        Args:
            change: Gives the new one for the old one, which another Blender may have changed.
            path: Its file.
        """
        from ..engine.model_library import ModelLibrary, read_library, write_library

        old = self._library or ModelLibrary()
        with changing(path):
            try:
                if self._is_written and path.exists():  # else the newest is here alone
                    old = read_library(path)
            except EngineError as error:
                print(f"Delta Strip: {error}")  # it was lost before, and the preferences said so
            self._library, self.problem, self._is_written = change(old), "", True
            try:
                write_library(path, self._library)
            except EngineError as error:  # it is known until Blender ends, all the same
                self.problem, self._is_written = str(error), False

    def forget(self) -> None:
        """Read the file anew when it is needed next."""
        self._library, self.problem, self._is_written = None, "", True


known = KnownModels()


def library_file() -> Path:
    """Where the list is kept."""
    return shared_file(_FILE)


@functools.cache
def demo_card() -> BackboneCard:
    """The card of the model that comes with the extension; read once, not at every redraw."""
    return find_backbone(DEFAULT_BACKBONE)


def chosen_folder() -> str:
    """The folder of the model that edits; empty for the demo model."""
    return preferences.get_preferences().model


def chosen_name() -> str:
    """What a job calls the model that edits: its folder, or the id of the demo model."""
    return chosen_folder() or DEFAULT_BACKBONE


def chosen_card() -> BackboneCard:
    """The card of the model that edits; looks at no file.

    Raises:
        BackboneError: It is not on the list, or the last look at its folder found a problem.
    """
    from ..engine.model_library import card_of

    folder = chosen_folder()
    if not folder:
        return demo_card()
    return card_of(known.library.listed(folder), VIDEO_KIND)


def card_to_show() -> BackboneCard | None:
    """The card whose recommendations the panel shows, also while that model cannot be used."""
    folder = chosen_folder()
    if not folder:
        return demo_card()
    entry = known.library.entry(folder)
    return as_card(entry.card, Path(folder)) if entry is not None and entry.card else None


def backbone_for(method: str, numbers: EditSettings) -> str:
    """What a job calls its model; quick enough for drawing, it looks whether files are there.

    Args:
        method: The guidance.
        numbers: Its settings; they name the image model, if any.

    Raises:
        BackboneError: The model, or the image model that guides it, cannot be used.
    """
    from ..engine.model_library import check_there

    check_there(chosen_card())
    image = numbers.assd.image_backbone
    if method == "assd" and numbers.assd.image_weight > 0 and image:
        _check_image_model(image)
    return chosen_name()


def _check_image_model(name: str) -> None:
    """Refuse a model that is not there."""
    from ..engine.model_library import card_of, check_is_model, check_there

    if entry := known.library.entry(name):
        check_there(card_of(entry, IMAGE_KIND))
    elif Path(name).is_absolute():
        check_is_model(Path(name))
    else:
        find_backbone(name)


def with_listed_image_model(numbers: EditSettings) -> EditSettings:
    """The settings with the folder of a listed image model where they name it by its id."""
    for entry in usable(IMAGE_KIND):
        if entry.card and entry.card.id == numbers.assd.image_backbone:
            return with_settings(numbers, assd={"image_backbone": entry.folder})
    return numbers


def usable(kind: str) -> list[ModelEntry]:
    """The folders with a model of a kind that had no problem when they were looked at."""
    entries = known.library.entries
    return [
        entry for entry in entries if not entry.problem and entry.card and entry.card.kind == kind
    ]


def problem_of(entry: ModelEntry) -> str:
    """Why a model cannot be used now; empty when it can. Looks only whether its files are there."""
    from ..engine.model_library import card_of, check_there

    if entry.problem or entry.card is None:
        return entry.problem or rpt_("Nobody looked at it.")
    try:
        check_there(card_of(entry, entry.card.kind))
    except EngineError as error:
        return str(error)
    return ""


def title_of(name: str) -> str:
    """A model as people call it.

    Args:
        name: As a job calls it.
    """
    if name == DEFAULT_BACKBONE:
        return demo_card().title
    entry = known.library.entry(name)
    return entry.title if entry else Path(name).name or name
