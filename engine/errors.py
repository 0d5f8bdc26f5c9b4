# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): every error the engine reports.

An error has a stable ``code`` (for programs), a ``message`` (what happened, with the value and the
limit) and a ``hint`` (what to do). The two process borders turn it into a ``failure`` message or an
exit code; everywhere else it simply propagates.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_DONE = 0
EXIT_BAD_JOB = 2
EXIT_CANCELLED = 3
EXIT_FAILED = 4


class EngineError(Exception):
    """Base of all errors with a message meant for the editor at the screen.

    Args:
        message: What happened, with the offending value and the limit it broke. One sentence.
        hint: What the reader can do about it. One sentence, may be empty.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidJobError(EngineError):
    """The job, a setting or a command-line argument cannot be honoured."""

    code = "invalid_job"
    exit_code = EXIT_BAD_JOB


class ProtocolError(EngineError):
    """A message or job file does not follow this version of the protocol."""

    code = "protocol"
    exit_code = EXIT_BAD_JOB


class MediaError(EngineError):
    """A source or mask file is missing, unreadable, or holds fewer frames than asked for."""

    code = "media"
    exit_code = EXIT_BAD_JOB


class MaskError(EngineError):
    """The mask cannot be used: it covers nothing, or does not fit the clip."""

    code = "mask"
    exit_code = EXIT_BAD_JOB


class BackboneError(EngineError):
    """A model folder is unknown, incomplete, damaged, or of a kind that is not supported."""

    code = "backbone"
    exit_code = EXIT_BAD_JOB


class DeviceError(EngineError):
    """The requested device or precision does not exist on this machine."""

    code = "device"
    exit_code = EXIT_BAD_JOB


class OutOfMemoryError(EngineError):
    """The edit does not fit into the device's memory."""

    code = "out_of_memory"


class StorageError(EngineError):
    """A result cannot be written: disk full, folder read-only or gone."""

    code = "storage"


class NumericalError(EngineError):
    """The optimisation produced NaN or infinity."""

    code = "numerical"


SMALLER_NUMBERS = "Lower step_size or guidance_scale, or use precision float32."
"""What to do about a `NumericalError`."""


class EnvironmentSetupError(EngineError):
    """The engine's Python environment is missing, incomplete or could not be made."""

    code = "environment"


class EngineProcessError(EngineError):
    """The engine process ended, fell silent, or speaks another protocol version."""

    code = "engine_process"


class CancelledError(EngineError):
    """The job was cancelled on request; not a fault."""

    code = "cancelled"
    exit_code = EXIT_CANCELLED


def exit_code_of(code: str) -> int:
    """The exit code that belongs to an error's code."""
    for kind in EngineError.__subclasses__():
        if kind.code == code:
            return kind.exit_code
    return EXIT_FAILED
