# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the model folders that a user added.

What a look at a folder found is kept in a file, because the look reads gigabytes. The engine
itself verifies a model again when it loads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .atomic_file import write_atomic
from .errors import BackboneError, EngineError, StorageError
from .model_folder import IMAGE_KIND, WEIGHTS, forget_checksums
from .reachable import has_file, has_folder
from .registry import CARD_NAME, BackboneCard, CardFile, as_card, as_file, find_backbone
from .schema import dumps, from_plain, loads

_VERIFY = "Verify it in the preferences of Delta Strip."
_RECONNECT = "Reconnect its drive, or choose another model."


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model folder and what the last look at it found.

    Attributes:
        folder: Absolute path; also what a job calls the model.
        bytes: Size of all its files.
        problem: Why it cannot be used, one or two sentences; empty when it can.
        card: Title, licence and the rest; beside a problem what was known before, if anything.
    """

    folder: str
    bytes: int = 0
    problem: str = ""
    card: CardFile | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.card.title if self.card else Path(self.folder).name or self.folder


@dataclass(frozen=True, kw_only=True)
class ModelLibrary:
    """All model folders, in the order they were added; each once."""

    entries: tuple[ModelEntry, ...] = ()

    def with_entry(self, entry: ModelEntry) -> ModelLibrary:
        """A copy with this entry, in its old place where the folder is known.

        An entry without a card takes over the old one's, so that the model keeps its name.
        """
        old = self.entry(entry.folder)
        if old is None:
            return ModelLibrary(entries=(*self.entries, entry))
        if entry.card is None:
            entry = replace(entry, card=old.card)
        return ModelLibrary(entries=tuple(entry if e is old else e for e in self.entries))

    def without(self, folder: str) -> ModelLibrary:
        """A copy without a folder."""
        return ModelLibrary(entries=tuple(e for e in self.entries if e.folder != folder))

    def listed(self, folder: str) -> ModelEntry:
        """The entry of the folder that was chosen.

        Raises:
            BackboneError: It is not on the list.
        """
        entry = self.entry(folder)
        if entry is None:
            raise BackboneError(
                f"The chosen model's folder {folder} is not on the list of models.",
                hint="Add it in the preferences of Delta Strip, or choose another model.",
            )
        return entry

    def entry(self, folder: str) -> ModelEntry | None:
        """The entry of a folder; None for an unknown one."""
        return next((entry for entry in self.entries if entry.folder == folder), None)


def read_library(path: Path) -> ModelLibrary:
    """The library in a file; empty when there is none.

    Raises:
        StorageError: The file cannot be read.
        EngineError: It is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ModelLibrary()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read: {error}.") from None
    return from_plain(ModelLibrary, loads(text), where=path.name)


def write_library(path: Path, library: ModelLibrary) -> None:
    """Keep the library.

    Raises:
        StorageError: The file cannot be written.
    """
    write_atomic(path, dumps(library, indent=1) + "\n")


def check_is_model(folder: Path) -> None:
    """Refuse at once what cannot be a model folder, before all its files are looked at.

    Raises:
        BackboneError: It is not there, or has neither a card nor model_index.json.
    """
    if not has_folder(folder):
        raise BackboneError(f"The model's folder {folder} is not there.", hint=_RECONNECT)
    if not any(has_file(folder / name) for name in ("model_index.json", CARD_NAME)):
        raise BackboneError(
            f"{folder} is not a model's folder: it has neither model_index.json nor {CARD_NAME}.",
            hint="Choose the folder that holds model_index.json.",
        )


def examine(folder: Path) -> ModelEntry:
    """Look at every file of a model folder; some seconds per gigabyte, so off Blender's thread."""
    folder = folder.expanduser().absolute()
    forget_checksums()
    size = 0
    try:
        check_is_model(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        card = find_backbone(str(folder))
        card.verify()
    except EngineError as error:
        return ModelEntry(folder=str(folder), bytes=size, problem=str(error))
    except OSError as error:
        problem = f"{folder} cannot be read: {error.strerror or error}."
        return ModelEntry(folder=str(folder), bytes=size, problem=problem)
    return ModelEntry(folder=str(folder), bytes=size, card=as_file(card))


def card_of(entry: ModelEntry, kind: str) -> BackboneCard:
    """The card of an entry that can be used as a model of this kind; looks at no file.

    Raises:
        BackboneError: It has a problem, or is of another kind.
    """
    if entry.problem or entry.card is None:
        message = f"{entry.title} cannot be used: {entry.problem or 'nobody looked at it.'}"
        raise BackboneError(message, hint=_VERIFY)
    if entry.card.kind != kind:
        is_image = entry.card.kind == IMAGE_KIND
        what = "an image model, which only guides another one" if is_image else "no image model"
        raise BackboneError(f"{entry.title} is {what}.", hint="Choose another model.")
    return as_card(entry.card, Path(entry.folder))


def check_there(card: BackboneCard) -> None:
    """Refuse a model whose files have gone since the last look; quick, nothing is read.

    Raises:
        BackboneError: The folder, or one with weights, is not there.
    """
    if not has_folder(card.folder):
        raise BackboneError(f"The model's folder {card.folder} is not there.", hint=_RECONNECT)
    for name in WEIGHTS:
        if not has_file(card.folder / name):
            raise BackboneError(f"{card.folder} is incomplete: {name} is missing.", hint=_VERIFY)
