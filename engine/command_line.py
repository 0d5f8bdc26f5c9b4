# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): the arguments of `python -m engine`.

`edit` takes an option from the command line, else from the configuration file, else leaves it open.
All values go through one parser, so that both places accept and refuse the same.
"""

from __future__ import annotations

import argparse
import contextlib
import tomllib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .errors import InvalidJobError
from .job import Device, EditSettings, Method, Precision
from .media import Mask
from .presets import Preset
from .request import EditRequest
from .worker_options import Memory, WorkerOptions

PROGRAM = "python -m engine"


@dataclass(frozen=True, kw_only=True)
class EditCommand:
    """What `edit` was asked to do.

    Attributes:
        request: The edit.
        output: Folder of the results.
        overwrite: Whether to replace what is in it.
        is_json: Messages as JSON lines on stdout instead of a progress bar.
        references: Folder that keeps what another edit of the clip can use again; none: nothing.
        references_mb: Most that it may take.
    """

    request: EditRequest
    output: Path
    overwrite: bool
    is_json: bool
    references: Path | None
    references_mb: int


@dataclass(frozen=True)
class _Option:
    """An option of `edit` with a value: its help, how the value looks and how it is read."""

    metavar: str
    help: str
    read: Callable[[str, str], Any]
    flags: tuple[str, ...] = ()


def _text(_name: str, value: str) -> str:
    return value


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InvalidJobError(f"{name} is {value!r}, a number is needed.") from None


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidJobError(f"{name} is {value!r}, a whole number is needed.") from None


def _pair(separator: str, example: str) -> Callable[[str, str], tuple[int, int]]:
    def read(name: str, value: str) -> tuple[int, int]:
        parts = value.lower().split(separator)
        if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
            raise InvalidJobError(f"{name} is {value!r}; it looks like {example}.")
        return int(parts[0]), int(parts[1])

    return read


def _choice(annotation: Any) -> tuple[str, Callable[[str, str], str]]:
    choices = typing.get_args(annotation)

    def read(name: str, value: str) -> str:
        if value not in choices:
            raise InvalidJobError(f"{name} is {value!r}, the choices are {', '.join(choices)}.")
        return value

    return "|".join(choices), read


_CHANNEL = typing.get_type_hints(Mask)["channel"]
_OPTIONS: dict[str, _Option] = {
    "source": _Option("TEXT", "what is in the clip", _text),
    "target": _Option("TEXT", "what should be there instead", _text),
    "output": _Option("DIR", "folder of the results", _text, ("-o", "--output")),
    "mask": _Option("PATH|x,y,w,h", "where the clip may change: pictures or a box in px", _text),
    "mask_channel": _Option(_choice(_CHANNEL)[0], "what of the pictures", _choice(_CHANNEL)[1]),
    "feather": _Option("PX", "soft transition, inward from the mask's edge", _number),
    "strength": _Option("F", "how far the edit goes, 1 is complete", _number),
    "method": _Option(_choice(Method)[0], "the guidance", _choice(Method)[1]),
    "preset": _Option(_choice(Preset)[0], "time against quality", _choice(Preset)[1]),
    "backbone": _Option("ID|FOLDER", "the diffusion model", _text),
    "steps": _Option("N", "most iterations; above strength 1 in proportion more", _whole),
    "seed": _Option("N", "of noise and timesteps", _whole),
    "frames": _Option("A-B", "first and last frame, counted from 1", _pair("-", "1-48")),
    "size": _Option("WxH", "size the model works at, in px", _pair("x", "512x288")),
    "device": _Option(_choice(Device)[0], "where the model runs", _choice(Device)[1]),
    "precision": _Option(_choice(Precision)[0], "number format", _choice(Precision)[1]),
    "references": _Option(
        "DIR", "keep here what another target prompt on this clip can use again", _text
    ),
    "references_mb": _Option("N", "most that this folder may take, in MB", _whole),
    "threads": _Option("N", "CPU threads; another number may give slightly other pixels", _whole),
}
_FLAGS = {
    "invert_mask": "swap what may change and what stays",
    "lossless": "also write edited.mkv (FFV1), pixel-exact",
    "overwrite": "replace what an earlier run left in the folder",
    "json": "JSON lines on stdout instead of a progress bar",
}
REFERENCES_MB = 1024
"""Size limit of a folder of references."""

_NEEDED = ("clip", "source", "target", "output")


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Edits video by score distillation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_setup(commands.add_parser("setup", help="make, verify or repair the environment"))
    edit = commands.add_parser(
        "edit", help="edit a movie or an image sequence", argument_default=argparse.SUPPRESS
    )
    edit.add_argument("clip", nargs="?", metavar="CLIP", help="movie file or folder of images")
    for name, option in _OPTIONS.items():
        flags = option.flags or (_flag(name),)
        edit.add_argument(*flags, dest=name, metavar=option.metavar, help=option.help)
    for name, text in _FLAGS.items():
        edit.add_argument(_flag(name), dest=name, action="store_true", help=text)
    edit.add_argument(
        "--config", metavar="FILE.toml", help="options by name, and a [settings] table"
    )
    run = commands.add_parser("run", help="run a job folder; JSON lines on stdout")
    run.add_argument("job_dir", type=Path, metavar="JOB_DIR")
    serve = commands.add_parser("serve", help="take jobs as JSON lines on stdin")
    for command in (run, serve):
        command.add_argument(
            "--references-mb",
            type=int,
            default=REFERENCES_MB,
            metavar="N",
            help="most that “references” beside the job folders may take, in MB; 0: nothing kept",
        )
    _add_worker_options(serve)
    commands.add_parser("probe", help="devices, versions and backbones as JSON")
    _add_models(commands.add_parser("models", help="list known models, verify model folders"))
    return parser


def _add_worker_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--idle-minutes",
        type=float,
        default=WorkerOptions.idle_minutes,
        metavar="N",
        help="time without a job after which models are dropped from memory; 0: never",
    )
    serve.add_argument(
        "--memory",
        choices=typing.get_args(Memory),
        default=WorkerOptions.memory,
        help="how much of the device's memory models may take",
    )


def _add_setup(setup: argparse.ArgumentParser) -> None:
    setup.add_argument("--root", type=Path, metavar="DIR", help="folder of the environment")
    setup.add_argument("--flavour", choices=("auto", "cpu", "cuda"), default="auto")
    setup.add_argument("--python", type=Path, metavar="FILE", help="interpreter to make it from")
    setup.add_argument("--index-url", default="", metavar="URL", help="an extra package index")
    setup.add_argument(
        "--wheels", type=Path, metavar="DIR", help="folder with all packages, instead of an index"
    )
    what = setup.add_mutually_exclusive_group()
    what.add_argument("--verify", action="store_true", help="only look, file by file")
    what.add_argument(
        "--download", type=Path, metavar="DIR", help="only save the packages, for --wheels"
    )
    what.add_argument("--repair", action="store_true", help="install again what is damaged")


def _add_models(models: argparse.ArgumentParser) -> None:
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="known models with licence, size and where to get them")
    verify = actions.add_parser("verify", help="files, checksums and classes of model folders")
    verify.add_argument(
        "names", nargs="*", metavar="ID|FOLDER", help="default: all that are installed"
    )


def read_edit_command(arguments: Mapping[str, Any]) -> EditCommand:
    """The edit that the parsed arguments and their configuration file ask for.

    Raises:
        InvalidJobError: An unknown name, a value that cannot be read, or something missing.
    """
    given = {name: value for name, value in arguments.items() if name != "command"}
    config = _read_config(Path(given.pop("config"))) if "config" in given else {}
    settings = config.pop("settings", {})
    values = {name: _read(name, value) for name, value in {**config, **given}.items()}
    for name in _NEEDED:
        if name not in values:
            what = "CLIP" if name == "clip" else _flag(name)
            raise InvalidJobError(f"{what} is missing.", hint=f"See: {PROGRAM} edit --help")
    for name in ("strength", "steps"):
        if name in config and name in settings:
            raise InvalidJobError(f"{name} is given twice: above and inside [settings].")
        if name in values:
            settings[name] = values.pop(name)
    output, overwrite = Path(values.pop("output")), values.pop("overwrite", False)
    is_json = values.pop("json", False)
    references = values.pop("references", None)
    references_mb = values.pop("references_mb", REFERENCES_MB)
    renamed = {"source": "source_prompt", "target": "target_prompt", "feather": "feather_px"}
    request = EditRequest(
        clip=Path(values.pop("clip")),
        threads=values.pop("threads", 0),
        settings=settings,
        **{renamed.get(name, name): value for name, value in values.items()},
    )
    return EditCommand(
        request=request,
        output=output,
        overwrite=overwrite,
        is_json=is_json,
        references=Path(references) if references else None,
        references_mb=references_mb,
    )


def wants_json(arguments: Mapping[str, Any]) -> bool:
    """Whether messages go out as JSON; also told when the rest cannot be read."""
    if "config" in arguments and "json" not in arguments:
        with contextlib.suppress(InvalidJobError):
            return _read_config(Path(arguments["config"])).get("json") is True
    return bool(arguments.get("json"))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(name: str, value: Any) -> Any:
    """An option's value; from the command line a text, from the file any type of TOML."""
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise InvalidJobError(f"{name} is {value!r}, true or false is needed.")
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidJobError(f"{name} is {value!r}, a text or a number is needed.")
    return value if name == "clip" else _OPTIONS[name].read(name, str(value))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidJobError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise InvalidJobError(f"{path} is not valid TOML: {error}.") from None
    _refuse_unknown(path, config, ["clip", *_OPTIONS, *_FLAGS, "settings"])
    settings = config.get("settings", {})
    if not isinstance(settings, dict):
        raise InvalidJobError(f"{path}: settings is {settings!r}, a table is needed.")
    _refuse_unknown(path, settings, [field.name for field in fields(EditSettings)])
    return config


def _refuse_unknown(path: Path, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in table:
        if name not in known:
            raise InvalidJobError(
                f"{path} has the unknown name {name!r}.", hint=f"Known: {', '.join(known)}."
            )
