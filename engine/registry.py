# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): which backbones there are, and what they recommend.

A backbone is a folder in the diffusers layout. What must be known before it is loaded is in its
card, `delta_strip.json`, beside its weights; a folder without one is looked up in
`vendor/models.toml`, the list of published models.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .errors import BackboneError, EngineError
from .job import EditSettings, Method
from .model_folder import (
    AGAIN,
    UNET_WEIGHTS,
    ModelFile,
    check_files,
    check_folder,
    fingerprint,
    kind_of,
    sha256_of,
)
from .reachable import has_folder
from .schema import check_limits, from_plain, loads, setting

CARD_NAME = "delta_strip.json"
VENDOR = Path(__file__).resolve().parent.parent / "vendor"
MODELS_FOLDER = VENDOR / "models"
KNOWN_MODELS = VENDOR / "models.toml"
DEFAULT_BACKBONE = "demo"


@dataclass(frozen=True, kw_only=True)
class RecommendedSettings:
    """What this backbone recommends for one method; fields as in `EditSettings`."""

    method: Method
    settings: EditSettings


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
        """Look at every file; those that have a checksum are read whole the first time.

        Raises:
            BackboneError: the folder is incomplete or damaged, holds pickles, or is of another
                kind than the card says.
        """
        check_folder(self.folder, self.kind)
        check_files(self.folder, self.files)

    def fingerprint(self) -> str:
        """A hash that changes when the folder's contents do; see `model_folder.fingerprint`."""
        return fingerprint(self.folder, self.files)


@dataclass(frozen=True, kw_only=True)
class CardFile:
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


@dataclass(frozen=True, kw_only=True)
class KnownModel(CardFile):
    """A published model; the attributes of its card, and:

    Attributes:
        disk_gigabytes: Its files, rounded, in 10⁹ bytes.
        memory_gigabytes: Its weights alone, loaded on CUDA, in 10⁹ bytes; an edit needs more.
        repository: Its name on the hub it is published on; empty: it comes with the extension.
        revision: The commit there that the files are of.
    """

    disk_gigabytes: float = setting(doc="size of the files", unit="GB", minimum=0)
    memory_gigabytes: float = setting(doc="memory of the weights", unit="GB", minimum=0)
    repository: str = ""
    revision: str = ""


def read_card(folder: Path) -> BackboneCard:
    """The card in a backbone folder.

    Raises:
        BackboneError: the folder or its card is missing, or the card is not valid.
    """
    path = folder / CARD_NAME
    try:
        file = from_plain(CardFile, loads(path.read_text(encoding="utf-8")), where=CARD_NAME)
    except OSError as error:
        raise BackboneError(
            f"{folder} is not a backbone: {CARD_NAME} cannot be read ({error.strerror}).",
            hint="Give an installed backbone's id, or a model folder that has a card.",
        ) from None
    except UnicodeDecodeError:
        raise BackboneError(f"{path} is not valid JSON.", hint=AGAIN) from None
    except EngineError as error:
        raise BackboneError(f"{path}: {error.message}", hint=error.hint) from None
    return as_card(file, folder)


def known_models() -> list[KnownModel]:
    """The models that `vendor/models.toml` lists, in its order."""
    import tomllib  # not at the top: nothing that Blender draws needs it

    listed = tomllib.loads(KNOWN_MODELS.read_text(encoding="utf-8"))["models"]
    return [from_plain(KnownModel, entry, where=KNOWN_MODELS.name) for entry in listed]


def recognised_card(folder: Path) -> BackboneCard:
    """The card of a folder that has none of its own, by the checksum of its U-Net's weights.

    Reads them whole the first time: some seconds per gigabyte on a slow disk.

    Raises:
        BackboneError: the folder cannot be used, or its weights are of no known model.
    """
    if not (folder / "model_index.json").is_file():
        raise BackboneError(
            f"{folder} is not a backbone: it has neither {CARD_NAME} nor model_index.json.",
            hint="Give an installed backbone's id, or a model folder in the diffusers layout.",
        )
    check_folder(folder, kind_of(folder))
    found = sha256_of(folder / UNET_WEIGHTS)
    for model in known_models():
        if any(f.path == UNET_WEIGHTS and f.sha256 == found for f in model.files):
            return as_card(model, folder)
    names = ", ".join(model.id for model in known_models() if model.repository)
    raise BackboneError(
        f"{folder / UNET_WEIGHTS} (sha256 {found[:12]}…) is of no known model: {names}.",
        hint=f"{AGAIN} A model of your own needs a card, {CARD_NAME}; README.md says how.",
    )


def installed_backbones() -> list[BackboneCard]:
    """The cards of all backbones that came with the extension, by id."""
    folders = sorted(path.parent for path in MODELS_FOLDER.glob(f"*/{CARD_NAME}"))
    return sorted((read_card(folder) for folder in folders), key=lambda card: card.id)


def find_backbone(name: str) -> BackboneCard:
    """The backbone with this id, or in this folder; see `recognised_card` for what that can take.

    Raises:
        BackboneError: there is none, or the folder cannot be used.
    """
    for card in installed_backbones():
        if card.id == name:
            return card
    folder = Path(name).expanduser()
    if has_folder(folder):
        folder = folder.resolve()
        return read_card(folder) if (folder / CARD_NAME).exists() else recognised_card(folder)
    if folder.is_absolute():
        raise BackboneError(
            f"The model's folder {folder} is not there.",
            hint="Reconnect its drive, or name another model.",
        )
    for model in known_models():
        if model.id == name:
            raise BackboneError(
                f"{model.title} does not come with Delta Strip (licence {model.licence}, "
                f"{model.disk_gigabytes:g} GB).",
                hint=f"Get {model.repository} at revision {model.revision[:12]} from the Hugging "
                "Face Hub yourself, without its pickle files, and give its folder.",
            )
    known = ", ".join(card.id for card in installed_backbones())
    raise BackboneError(
        f"There is no backbone {name!r}.",
        hint=f"Installed: {known}; or give the folder of a model in the diffusers layout.",
    )


def as_card(file: CardFile, folder: Path) -> BackboneCard:
    """The card of a folder, from what its file says."""
    values: dict[str, Any] = {field.name: getattr(file, field.name) for field in fields(CardFile)}
    return BackboneCard(folder=folder, **values)


def as_file(card: BackboneCard) -> CardFile:
    """What a card says, without its folder."""
    return CardFile(**{field.name: getattr(card, field.name) for field in fields(CardFile)})
