# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict JSON of frozen dataclasses."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from engine.errors import InvalidJobError, ProtocolError
from engine.schema import check_limits, dumps, field_info, from_plain, loads, setting, to_plain


@dataclass(frozen=True, kw_only=True)
class Inner:
    count: int = setting(1, doc="how many", unit="px", minimum=1, maximum=9)

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    weight: float = 0.5
    is_on: bool = False
    kind: Literal["a", "b"] = "a"
    pair: tuple[int, int] | None = None
    inners: tuple[Inner, ...] = ()
    inner: Inner | None = None

    def __post_init__(self) -> None:
        check_limits(self)


FULL = Outer(
    name="ü “x” \u2028",
    weight=2.0,
    is_on=True,
    kind="b",
    pair=(1, 2),
    inners=(Inner(count=3), Inner()),
    inner=Inner(count=9),
)


@pytest.mark.parametrize("value", [Outer(name="x"), FULL])
def test_a_dataclass_comes_back_equal_from_its_json(value: Outer) -> None:
    assert from_plain(Outer, loads(dumps(value))) == value


def test_a_whole_number_in_json_becomes_the_float_a_field_asks_for() -> None:
    assert isinstance(from_plain(Outer, {"name": "x", "weight": 2}).weight, float)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({}, "name is missing"),
        ({"name": "x", "colour": 1}, "unknown field 'colour'"),
        ({"name": 1}, "a str is needed"),
        ({"name": "x", "weight": "1"}, "a finite number"),
        ({"name": "x", "weight": True}, "a finite number"),
        ({"name": "x", "weight": 10**400}, "a finite number"),
        ({"name": "x", "is_on": 1}, "a bool is needed"),
        ({"name": "x", "kind": "c"}, "the choices are a, b"),
        ({"name": "x", "kind": []}, "the choices are a, b"),
        ({"name": "x", "pair": [1]}, "1 entries, 2 are needed"),
        ({"name": "x", "pair": [1, 2.5]}, r"pair[1] is 2.5"),
        ({"name": "x", "pair": "12"}, "a list is needed"),
        ({"name": "x", "inners": [{"count": "1"}]}, "inners[0].count"),
        ({"name": "x", "inner": 3}, "inner is a int, an object"),
        ([], "an object is needed"),
        (None, "null"),
    ],
)
def test_json_of_another_shape_is_refused_and_the_place_is_named(data: Any, part: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        from_plain(Outer, data)
    assert part in caught.value.message


def test_a_number_outside_its_limits_is_refused_with_value_and_range() -> None:
    with pytest.raises(InvalidJobError, match="count is 10, its range is 1…9"):
        from_plain(Outer, {"name": "x", "inner": {"count": 10}})


@pytest.mark.parametrize(
    "changes",
    [
        {"pair": [1, 2]},
        {"pair": (1, "2")},
        {"inner": {"count": 1}},
        {"weight": math.nan},
        {"name": 1},
    ],
)
def test_an_object_made_in_python_is_checked_like_one_from_json(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError):
        Outer(**{"name": "x", **changes})


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", '{"a": 1, "a": 2}', "[" * 100_000, "1" * 5000, '"\\x"', "{} {}"],
)
def test_text_that_is_not_strict_json_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        loads(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": -math.inf}, object()])
def test_what_json_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(ProtocolError):
        dumps(value)


def test_a_file_name_that_is_no_utf8_survives_the_way_through_json() -> None:
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    text = dumps(Outer(name=name))
    assert from_plain(Outer, loads(text.encode("utf-8").decode("utf-8"))).name == name


def test_accents_are_written_readably() -> None:
    assert "ü" in dumps(FULL)


def test_plain_values_are_only_jsons_own_types() -> None:
    assert json.loads(json.dumps(to_plain(FULL))) == to_plain(FULL)


def test_the_interface_reads_limits_and_unit_from_the_field() -> None:
    info = field_info(Inner, "count")
    assert (info.unit, info.minimum, info.maximum) == ("px", 1, 9)
    with pytest.raises(KeyError):
        field_info(Inner, "size")
