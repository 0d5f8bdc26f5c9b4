# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages on the wire."""

from __future__ import annotations

import dataclasses
import json

import pytest

from engine.errors import EngineError, ProtocolError, exit_code_of
from engine.protocol import (
    FROM_ENGINE,
    PROTOCOL_VERSION,
    TO_ENGINE,
    Failure,
    Message,
    Ping,
    Run,
    Stage,
    decode,
    encode,
)

SAMPLES = {"str": "ü\n\u2028", "int": 3, "float": 1.5, "StageName": "editing"}


def sample(cls: type[Message]) -> Message:
    values = {f.name: SAMPLES[str(f.type)] for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**values)


@pytest.mark.parametrize(
    ("cls", "side"),
    [(c, side) for side in (TO_ENGINE, FROM_ENGINE) for c in side],
    ids=lambda value: getattr(value, "type", ""),
)
def test_every_message_comes_back_equal_from_its_line(
    cls: type[Message], side: tuple[type[Message], ...]
) -> None:
    line = encode(sample(cls))
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert decode(line, side) == sample(cls)


def test_the_words_on_the_wire_are_all_different() -> None:
    words = [cls.type for cls in (*TO_ENGINE, *FROM_ENGINE)]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        '"run"',
        "hello",
        '{"type": "ping"}',
        '{"protocol": "1", "type": "ping"}',
        '{"protocol": 1}',
        '{"protocol": 1, "type": []}',
        '{"protocol": 1, "type": "dance"}',
        '{"protocol": 1, "type": "ping", "extra": 1}',
        '{"protocol": 1, "type": "run"}',
        '{"protocol": 1, "type": "run", "job": 3}',
    ],
)
def test_a_line_that_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError):
        decode(line, TO_ENGINE)


def test_another_protocol_version_is_named_with_both_numbers() -> None:
    line = json.dumps({"protocol": 99, "type": "ping"})
    with pytest.raises(ProtocolError, match=f"99.*{PROTOCOL_VERSION}") as caught:
        decode(line, TO_ENGINE)
    assert caught.value.hint


def test_each_side_refuses_the_other_sides_words() -> None:
    with pytest.raises(ProtocolError):
        decode(encode(Run("x")), FROM_ENGINE)
    with pytest.raises(ProtocolError):
        decode(encode(Failure("x", "c", "m", "h")), TO_ENGINE)


def test_an_unknown_stage_is_refused() -> None:
    line = encode(Stage("x", "editing")).replace("editing", "dreaming")
    with pytest.raises(ProtocolError, match="dreaming"):
        decode(line, FROM_ENGINE)


def test_a_message_without_fields_is_only_its_envelope() -> None:
    assert json.loads(encode(Ping())) == {"protocol": PROTOCOL_VERSION, "type": "ping"}


def test_every_error_has_its_own_code_and_an_exit_code() -> None:
    kinds = EngineError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(exit_code_of(kind.code) == kind.exit_code for kind in kinds)
    assert exit_code_of("internal") == exit_code_of("never heard of") == 4
