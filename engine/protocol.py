# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the messages between Blender and the engine.

One JSON object a line, UTF-8, with ``"protocol"`` and ``"type"``. EOF on the engine's stdin means
that its parent is gone. For every `Run` exactly one terminal message comes back: `Done`,
`Cancelled` or `Failure`. A `Failure` with an empty `job` means that the engine itself gave up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .errors import ProtocolError
from .schema import dumps, from_plain, loads, to_plain

PROTOCOL_VERSION = 1

StageName = Literal["loading", "encoding", "editing", "decoding", "writing"]


class Message:
    """Base of all messages; `type` is the word on the wire."""

    type: ClassVar[str]


@dataclass(frozen=True)
class Run(Message):
    """To the engine: run the job in this folder. Answered by one terminal message."""

    type = "run"
    job: str


@dataclass(frozen=True)
class Cancel(Message):
    """To the engine: stop the running job after its current step."""

    type = "cancel"


@dataclass(frozen=True)
class Unload(Message):
    """To the engine: free the models' memory; they are loaded again when needed."""

    type = "unload"


@dataclass(frozen=True)
class Ping(Message):
    """To the engine: answer with `Pong`."""

    type = "ping"


@dataclass(frozen=True)
class Quit(Message):
    """To the engine: end the process."""

    type = "quit"


@dataclass(frozen=True)
class Hello(Message):
    """First message, before anything heavy is imported (within 10 s of the start)."""

    type = "hello"
    pid: int
    python: str
    engine: str


@dataclass(frozen=True)
class Ready(Message):
    """The engine can take a job: torch is imported and the devices are known."""

    type = "ready"
    device: str
    torch: str
    free_bytes: int


@dataclass(frozen=True)
class Stage(Message):
    """The running job entered a stage."""

    type = "stage"
    job: str
    name: StageName


@dataclass(frozen=True)
class Progress(Message):
    """Work done in the current stage; `seconds_left` is for the whole job, -1 while unknown."""

    type = "progress"
    job: str
    name: StageName
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Preview(Message):
    """A new picture of the running job, before and after, is in `path`; renewed now and then."""

    type = "preview"
    job: str
    path: str


@dataclass(frozen=True)
class Notice(Message):
    """Something the editor should know; the job goes on."""

    type = "warning"
    job: str
    message: str
    hint: str


@dataclass(frozen=True)
class Failure(Message):
    """Terminal: the job ended with an error (codes: engine/errors.py)."""

    type = "failure"
    job: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Done(Message):
    """Terminal: all frames are written; `result` is the path of result.json."""

    type = "done"
    job: str
    result: str


@dataclass(frozen=True)
class Cancelled(Message):
    """Terminal: the job stopped on request; its checkpoint stays."""

    type = "cancelled"
    job: str


@dataclass(frozen=True)
class Pong(Message):
    """The process lives: answer to `Ping`, and unasked every few seconds while it works."""

    type = "pong"


TO_ENGINE: tuple[type[Message], ...] = (Run, Cancel, Unload, Ping, Quit)
FROM_ENGINE: tuple[type[Message], ...] = (
    Hello,
    Ready,
    Stage,
    Progress,
    Preview,
    Notice,
    Failure,
    Done,
    Cancelled,
    Pong,
)
TERMINAL: tuple[type[Message], ...] = (Done, Cancelled, Failure)


def encode(message: Message) -> str:
    """The message as one line of JSON, newline included."""
    return dumps({"protocol": PROTOCOL_VERSION, "type": message.type, **to_plain(message)}) + "\n"


def decode(line: str, expected: tuple[type[Message], ...]) -> Message:
    """The message in a line.

    Args:
        line: One line, with or without its newline.
        expected: The message classes this side accepts (`TO_ENGINE` or `FROM_ENGINE`).

    Raises:
        ProtocolError: not JSON, another protocol version, unknown type or field.
    """
    data = loads(line)
    if not isinstance(data, dict):
        raise ProtocolError(f"A message is an object; this is: {line[:80]!r}.")
    version = data.pop("protocol", None)
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"The other side speaks protocol {version!r}, this side {PROTOCOL_VERSION}.",
            hint="Repair the engine in the preferences, so that both sides are of one version.",
        )
    kind = data.pop("type", None)
    for cls in expected:
        if cls.type == kind:
            return from_plain(cls, data, where=cls.type)
    raise ProtocolError(f"Unknown message type {kind!r}.")
