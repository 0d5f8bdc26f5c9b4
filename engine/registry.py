# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): which backbones are installed, and what they
recommend.

A backbone is a folder in the diffusers layout with a card, `delta_strip.json`, beside its weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BackboneError, EngineError
from .job import EditSettings, Method
from .schema import check_limits, from_plain, loads, setting

CARD_NAME = "delta_strip.json"
MODELS_FOLDER = Path(__file__).resolve().parent.parent / "vendor" / "models"
DEFAULT_BACKBONE = "demo"


@dataclass(frozen=True, kw_only=True)
class RecommendedSettings:
    """What this backbone recommends for one method; fields as in `EditSettings`."""

    method: Method
    settings: EditSettings


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file of a backbone and its checksum."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class BackboneCard:
    """What must be known about a backbone before it is loaded.

    Attributes:
        folder: The diffusers folder.
        kind: Which loader reads it.
        window_frames: Frames the model sees at once.
        working_pixels: Area in px (width · height) at which it works best.
        size_multiple: Width and height must be multiples of this, in px.
        note: A limit the editor must know, one sentence; may be empty.
        image_mode: Whether the weights also work as an image model, temporal layers left out.
        files: Checksums to verify when it is loaded; paths relative to the folder.
    """

    folder: Path
    id: str
    title: str
    kind: str
    licence: str
    window_frames: int
    working_pixels: int
    size_multiple: int
    note: str
    recommended_settings: tuple[RecommendedSettings, ...]
    image_mode: bool = False
    files: tuple[ModelFile, ...] = ()

    def recommended(self, method: Method) -> EditSettings:
        """The settings to start from; the method's own defaults where the card names none."""
        for entry in self.recommended_settings:
            if entry.method == method:
                return entry.settings
        return EditSettings()

    def verify(self) -> None:
        """Compare every file that has a checksum with it.

        Raises:
            BackboneError: a file is missing or differs.
        """
        for file in self.files:
            path = self.folder / file.path
            try:
                with path.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError:
                raise BackboneError(
                    f"{self.folder} is incomplete: {file.path} is missing.",
                    hint="Copy or download the folder again.",
                ) from None
            if found != file.sha256:
                raise BackboneError(
                    f"{path} is damaged: its checksum is {found[:12]}…, not {file.sha256[:12]}….",
                    hint="Copy or download the folder again.",
                )


@dataclass(frozen=True, kw_only=True)
class _CardFile:
    """The JSON of a card; `BackboneCard` adds the folder."""

    id: str
    title: str
    kind: str
    licence: str
    window_frames: int = setting(doc="frames seen at once", minimum=1, maximum=1000)
    working_pixels: int = setting(doc="area it works best at", unit="px", minimum=256)
    size_multiple: int = setting(doc="sizes are multiples of this", unit="px", minimum=1)
    note: str = ""
    recommended_settings: tuple[RecommendedSettings, ...] = ()
    image_mode: bool = False
    files: tuple[ModelFile, ...] = ()

    def __post_init__(self) -> None:
        check_limits(self)


def read_card(folder: Path) -> BackboneCard:
    """The card of a backbone folder.

    Raises:
        BackboneError: the folder or its card is missing, or the card is not valid.
    """
    path = folder / CARD_NAME
    try:
        file = from_plain(_CardFile, loads(path.read_text(encoding="utf-8")), where=CARD_NAME)
    except OSError as error:
        raise BackboneError(
            f"{folder} is not a backbone: {CARD_NAME} cannot be read ({error.strerror}).",
            hint="Give an installed backbone's id, or a model folder that has a card.",
        ) from None
    except EngineError as error:
        raise BackboneError(f"{path}: {error.message}", hint=error.hint) from None
    values: dict[str, Any] = {name: getattr(file, name) for name in _CardFile.__dataclass_fields__}
    return BackboneCard(folder=folder, **values)


def installed_backbones() -> list[BackboneCard]:
    """The cards of all backbones that came with the extension, by id."""
    folders = sorted(path.parent for path in MODELS_FOLDER.glob(f"*/{CARD_NAME}"))
    return sorted((read_card(folder) for folder in folders), key=lambda card: card.id)


def find_backbone(name: str) -> BackboneCard:
    """The backbone with this id, or in this folder.

    Raises:
        BackboneError: there is none.
    """
    for card in installed_backbones():
        if card.id == name:
            return card
    if Path(name).is_dir():
        return read_card(Path(name).resolve())
    known = ", ".join(card.id for card in installed_backbones())
    raise BackboneError(
        f"There is no backbone {name!r}.",
        hint=f"Installed: {known}; or give the folder of a model in the diffusers layout.",
    )
