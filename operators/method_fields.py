# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): the numbers of the methods as properties, for “Advanced”.

The properties are made from the fields of the job's own settings. A value that nobody changed
follows backbone, method and preset; what was changed is kept as JSON in `changes`.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from types import SimpleNamespace
from typing import Any, Literal

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..engine.job import EditSettings, with_settings
from ..engine.presets import PACE, at_preset
from ..engine.registry import BackboneCard
from ..engine.schema import FieldInfo, dumps, loads
from . import model_choice
from .choices import CHOICES

COMMON = ""
"""Name of the section with what all methods share."""

IN_THE_MAIN_PANEL = ("strength",)
_LARGEST = 2**31 - 1  # Blender's integers
_TITLES = {
    "dreammotion": "DreamMotion",
    "assd": "Adaptive Sliding",
}


def backbone_card() -> BackboneCard:
    """The card of the backbone that edits; looks at no file.

    Raises:
        BackboneError: It cannot be used.
    """
    return model_choice.chosen_card()


@functools.cache
def sections() -> dict[str, type]:
    """The settings classes by section: what is common, and each method's own numbers."""
    hints = typing.get_type_hints(EditSettings)
    own = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    return {COMMON: EditSettings, **typing.cast("dict[str, type]", own)}


def fields_of(section: str) -> list[dataclasses.Field]:
    """The fields of a section that are single values, except those of the main panel."""
    names = (*sections(), *IN_THE_MAIN_PANEL) if section == COMMON else ()
    return [field for field in dataclasses.fields(sections()[section]) if field.name not in names]


def recommended(settings: Any) -> EditSettings:
    """What backbone, method and preset recommend.

    Also while the backbone cannot be used: a property's getter must not raise.

    Args:
        settings: `scene.delta_strip`.
    """
    return at_preset(_base(settings), settings.preset)


def _base(settings: Any) -> EditSettings:
    """The backbone's recommendation; the method's own numbers while nothing is known of it."""
    card = model_choice.card_to_show()
    if card is None:
        return EditSettings()
    return model_choice.with_listed_image_model(card.recommended(settings.method))


def edit_settings(settings: Any) -> EditSettings:
    """The recommended settings with the editor's strength and changes.

    Raises:
        InvalidJobError: Values do not go together.
        BackboneError: The backbone cannot be used.
    """
    backbone_card()
    strength = round(settings.strength, 6)
    return with_settings(recommended(settings), strength=strength, **changes_of(settings))


def changes_of(settings: Any) -> dict[str, Any]:
    """What the editor changed: values by name, a method's own as an object of theirs."""
    return loads(settings.changes) if settings.changes else {}


def has_effect(settings: Any, section: str, info: FieldInfo) -> bool:
    """Whether a field matters beside the other values."""
    if info.has_effect is None:
        return True
    names = [field.name for field in dataclasses.fields(sections()[section])]
    values = {name: shown(settings, section, name) for name in names if name not in sections()}
    return info.has_effect(SimpleNamespace(**values))  # unlike settings they may not go together


def shown(settings: Any, section: str, name: str) -> Any:
    """The value of a field: the editor's, else the recommended one."""
    own = changes_of(settings)
    own = own.get(section, {}) if section else own
    return own[name] if name in own else _recommended_value(settings, section, name)


def is_changed(settings: Any, section: str, name: str) -> bool:
    """Whether the editor changed a field."""
    own = changes_of(settings)
    return name in (own.get(section, {}) if section else own)


def change(settings: Any, section: str, name: str, value: Any) -> None:
    """Set a field; the recommended value makes it follow the recommendation again."""
    everything = changes_of(settings)
    own = dict(everything.pop(section, {})) if section else everything
    own.pop(name, None)
    if value != _recommended_value(settings, section, name):
        own[name] = value
    if section and own:
        everything[section] = own
    settings.changes = dumps(everything) if everything else ""


def reset(settings: Any, section: str, name: str) -> None:
    """Have a field follow the recommendation again."""
    change(settings, section, name, _recommended_value(settings, section, name))


def take_over(settings: Any, wanted: EditSettings) -> None:
    """Have the panel hold these numbers, with the preset that explains most of them.

    Args:
        settings: `scene.delta_strip`; its method is the one the numbers are for.
        wanted: The settings of an earlier job.
    """
    base = _base(settings)
    found = {preset: _differences(at_preset(base, preset), wanted) for preset in PACE}
    settings.preset = min(found, key=lambda preset: len(found[preset]))
    settings.strength, settings.changes = wanted.strength, ""
    for section, name, value in found[settings.preset]:
        change(settings, section, name, value)


def _differences(base: EditSettings, wanted: EditSettings) -> list[tuple[str, str, Any]]:
    """Section, name and wanted value of the fields that differ."""
    found = []
    for section in sections():
        before = getattr(base, section) if section else base
        after = getattr(wanted, section) if section else wanted
        for field in fields_of(section):
            value = getattr(after, field.name)
            if value != getattr(before, field.name):
                found.append((section, field.name, value))
    return found


def _recommended_value(settings: Any, section: str, name: str) -> Any:
    values = recommended(settings)
    return getattr(getattr(values, section) if section else values, name)


def label(name: str) -> str:
    """A field's name as the panel writes it."""
    return name.removeprefix("use_").replace("_", " ").title()


def title(section: str) -> str:
    """A method's name."""
    return _TITLES.get(section, label(section))


def group_name(section: str) -> str:
    """Attribute of `scene.delta_strip` that holds the properties of a section."""
    return f"{section or 'common'}_fields"


def make_group(section: str) -> type:
    """The property group of a section."""
    hints = typing.get_type_hints(sections()[section])
    annotations = {
        field.name: _property(section, field.name, hints[field.name], field.metadata["info"])
        for field in fields_of(section)
    }
    members = {"__doc__": f"Fields of {title(section)}.", "__annotations__": annotations}
    name = f"DELTA_STRIP_PG_{group_name(section)}"
    return type(name, (bpy.types.PropertyGroup,), members)


def _property(section: str, name: str, hint: Any, info: FieldInfo) -> Any:
    """A property that shows, and changes, one field."""

    def read(group: Any) -> Any:
        return shown(group.id_data.delta_strip, section, name)

    def write(group: Any, value: Any) -> None:
        change(group.id_data.delta_strip, section, name, value)

    unit = f" ({info.unit})" if info.unit else ""
    words: dict[str, Any] = {
        "name": label(name),
        "description": info.doc[:1].upper() + info.doc[1:] + unit,
        "options": set(),  # no keyframes: a job has one value
    }
    if typing.get_origin(hint) is Literal:
        items = [(choice, *CHOICES[name][choice]) for choice in typing.get_args(hint)]
        return _choice(words, items, read, write)
    if hint is bool:
        return BoolProperty(get=read, set=write, **words)
    if hint is str:
        return StringProperty(get=read, set=write, **words)
    minimum = hint(-_LARGEST if info.minimum is None else info.minimum)
    maximum = hint(_LARGEST if info.maximum is None else info.maximum)

    def write_number(group: Any, value: float) -> None:
        value = hint(f"{value:.6g}") if hint is float else value  # 0.1 comes as 0.10000000149
        write(group, min(max(value, minimum), maximum))  # scripts are not held to the limits

    limits = {"min": minimum, "max": maximum}
    if hint is int:
        return IntProperty(get=read, set=write_number, **limits, **words)
    return FloatProperty(get=read, set=write_number, precision=4, **limits, **words)


def _choice(words: dict[str, Any], items: list[tuple[str, str, str]], read: Any, write: Any) -> Any:
    choices = [choice for choice, *_ in items]

    def index(group: Any) -> int:
        value = read(group)
        return choices.index(value) if value in choices else -1

    def choose(group: Any, number: int) -> None:
        write(group, choices[number])

    return EnumProperty(items=items, get=index, set=choose, **words)
