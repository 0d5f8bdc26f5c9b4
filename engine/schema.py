# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): frozen dataclasses to strict JSON and back.

Strict means: every field of the dataclass is present or has a default, no unknown field, exact
types, no NaN or infinity, limits honoured. The limits live in the field's metadata, where the user
interface reads them too (`field_info`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from .errors import InvalidJobError, ProtocolError

T = TypeVar("T")
_NO_DEFAULT = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class FieldInfo:
    """What a user interface needs to know about a field.

    Attributes:
        doc: One line of text.
        unit: Of the value; empty for none.
        minimum: Least value allowed.
        maximum: Greatest value allowed.
        has_effect: Whether the field matters beside the object's other values; None: always.
    """

    doc: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    has_effect: Callable[[Any], bool] | None = None


def setting(
    default: Any = _NO_DEFAULT,
    *,
    doc: str,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    has_effect: Callable[[Any], bool] | None = None,
) -> Any:
    """A dataclass field with its documentation, unit and inclusive limits in one place."""
    info = FieldInfo(doc, unit, minimum, maximum, has_effect)
    if default is _NO_DEFAULT:
        return dataclasses.field(metadata={"info": info})
    return dataclasses.field(default=default, metadata={"info": info})


def field_info(cls: type, name: str) -> FieldInfo:
    """The `FieldInfo` of a field made with `setting`."""
    for field in dataclasses.fields(cls):
        if field.name == name:
            return field.metadata["info"]
    raise KeyError(name)


def check_limits(instance: Any) -> None:
    """Refuse a value of the wrong type or outside the limits of its field.

    Called by every settings class in `__post_init__`, so that an object that exists is valid.

    Raises:
        InvalidJobError: naming the field, its value and the limit.
    """
    hints = typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        _check_type(hints[field.name], value, field.name)
        info = field.metadata.get("info")
        if info is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        too_low = info.minimum is not None and value < info.minimum
        too_high = info.maximum is not None and value > info.maximum
        if too_low or too_high:
            low = "" if info.minimum is None else f"{info.minimum:g}"
            high = "" if info.maximum is None else f"{info.maximum:g}"
            raise InvalidJobError(
                f"{field.name} is {value:g}, its range is {low}…{high}.",
                hint=f"{field.name}: {info.doc}",
            )


def _check_type(annotation: Any, value: Any, where: str) -> None:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Literal:
        if not isinstance(value, str) or value not in arguments:
            choices = ", ".join(map(str, arguments))
            raise InvalidJobError(f"{where} is {_short(value)}, the choices are {choices}.")
    elif origin in (typing.Union, types.UnionType):
        if value is not None:
            _check_type(_without_none(annotation), value, where)
    elif origin is tuple:
        _check_tuple(arguments, value, where)
    elif annotation is float:
        if not _is_finite_number(value):
            raise InvalidJobError(f"{where} is {_short(value)}, a finite number is needed.")
    elif annotation is int and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidJobError(f"{where} is {_short(value)}, a whole number is needed.")
    elif isinstance(annotation, type) and not isinstance(value, annotation):
        raise InvalidJobError(f"{where} is {_short(value)}, a {annotation.__name__} is needed.")


def _check_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> None:
    if not isinstance(value, tuple):
        raise InvalidJobError(f"{where} is {_short(value)}, a tuple is needed.")
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        raise InvalidJobError(f"{where} has {len(value)} entries, {len(arguments)} are needed.")
    for index, (annotation, item) in enumerate(zip(arguments, value, strict=True)):
        _check_type(annotation, item, f"{where}[{index}]")


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _without_none(annotation: Any) -> Any:
    (only,) = (a for a in typing.get_args(annotation) if a is not type(None))
    return only


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def to_plain(value: Any) -> Any:
    """A dataclass (nested) as JSON's own types; tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(cls: type[T], data: Any, *, where: str = "") -> T:
    """Build `cls` from JSON's types, refusing anything that does not fit exactly.

    Raises:
        ProtocolError: an unknown or missing field, or a value of the wrong shape.
        InvalidJobError: a value of the right shape outside its limits.
    """
    if not isinstance(data, dict):
        raise ProtocolError(f"{where or cls.__name__} is {_kind(data)}, an object is needed.")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ProtocolError(
            f"{where or cls.__name__} has unknown field {unknown[0]!r}.",
            hint="It was written by another version of Delta Strip: update, or remove the field.",
        )
    values = {}
    for name, field in fields.items():
        path = f"{where}.{name}" if where else name
        if name in data:
            values[name] = _value(hints[name], data[name], path)
        elif field.default is _NO_DEFAULT and field.default_factory is _NO_DEFAULT:
            raise ProtocolError(f"{path} is missing.")
    return cls(**values)


def _value(annotation: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        return _value(_without_none(annotation), data, where)
    if dataclasses.is_dataclass(annotation):
        return from_plain(typing.cast(type, annotation), data, where=where)
    if origin is tuple:
        if not isinstance(data, list):
            raise ProtocolError(f"{where} is {_kind(data)}, a list is needed.")
        if arguments[-1] is Ellipsis:
            return tuple(_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(data))
        if len(data) != len(arguments):
            raise ProtocolError(f"{where} has {len(data)} entries, {len(arguments)} are needed.")
        return tuple(
            _value(a, v, f"{where}[{i}]")
            for i, (a, v) in enumerate(zip(arguments, data, strict=True))
        )
    try:
        _check_type(annotation, data, where)
    except InvalidJobError as error:
        raise ProtocolError(error.message) from None
    # JSON writes 1.0 and 1 alike in other languages; inside, a float field holds a float.
    return float(data) if annotation is float else data


def _kind(data: Any) -> str:
    return "null" if data is None else f"a {type(data).__name__}"


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON text of a dataclass or of plain values; NaN and infinity are refused.

    The text can always be encoded as UTF-8: a file name that is not valid UTF-8 (a lone surrogate
    in Python's `str`) is written as escapes.
    """
    try:
        text = json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(to_plain(value), ensure_ascii=True, allow_nan=False, indent=indent)
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"A value cannot be written as JSON: {error}.") from None
    return text


def loads(text: str) -> Any:
    """Parse strict JSON.

    Raises:
        ProtocolError: the text is not JSON, or holds NaN, infinity or a repeated name.
    """

    def refuse_constant(name: str) -> Any:
        raise ProtocolError(f"{name} is not a value of JSON.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(n for n in names if names.count(n) > 1)
            raise ProtocolError(f"The name {repeated!r} is given twice.")
        return result

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 4,300 digits
        raise ProtocolError(f"Not valid JSON: {error}.") from None
