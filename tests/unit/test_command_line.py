# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m engine`: arguments, configuration file, exit codes. Nothing here needs torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __main__ as program
from engine import job_store
from engine.command_line import EditCommand, make_parser, read_edit_command
from engine.errors import InvalidJobError
from engine.request import EditRequest
from tests.unit.jobs import make_job

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ["clip.mp4", "--source", "a", "--target", "b", "-o", "out"]


def read(*arguments: str) -> EditCommand:
    return read_edit_command(vars(make_parser().parse_args(["edit", *arguments])))


def test_what_is_not_given_is_left_to_the_request() -> None:
    command = read(*NEEDED)
    wanted = EditRequest(clip=Path("clip.mp4"), source_prompt="a", target_prompt="b", threads=0)
    assert command == EditCommand(
        request=wanted,
        output=Path("out"),
        overwrite=False,
        is_json=False,
        references=None,
        references_mb=1024,
    )


def test_every_option_reaches_the_request() -> None:
    command = read(
        *NEEDED,
        *("--mask", "1,2,3,4", "--mask-channel", "alpha", "--invert-mask", "--feather", "2.5"),
        *("--strength", "0.5", "--steps", "7", "--seed", "9", "--frames", "3-8"),
        *("--size", "512x288", "--device", "cpu", "--precision", "float32", "--threads", "2"),
        *("--method", "dds", "--backbone", "demo", "--lossless", "--overwrite", "--json"),
        *("--preset", "draft"),
        *("--references", "kept", "--references-mb", "50"),
    )
    assert (command.references, command.references_mb) == (Path("kept"), 50)
    assert command.request == EditRequest(
        clip=Path("clip.mp4"),
        source_prompt="a",
        target_prompt="b",
        mask="1,2,3,4",
        mask_channel="alpha",
        invert_mask=True,
        feather_px=2.5,
        preset="draft",
        settings={"strength": 0.5, "steps": 7},
        seed=9,
        frames=(3, 8),
        size=(512, 288),
        device="cpu",
        precision="float32",
        threads=2,
        lossless=True,
    )
    assert command.overwrite
    assert command.is_json


def test_the_file_gives_what_the_command_line_leaves_open(tmp_path: Path) -> None:
    config = tmp_path / "edit é.toml"
    config.write_text(
        'clip = "x.mp4"\nsource = "from file"\ntarget = "b"\noutput = "out"\nseed = 4\n'
        'frames = "1-5"\nfeather = 3\ninvert_mask = true\nsteps = 10\n'
        "[settings]\nguidance_scale = 5\nuse_stopping_rule = false\n",
        encoding="utf-8",
    )
    command = read("--config", str(config), "--source", "from line", "--seed", "5")
    assert command.request.source_prompt == "from line"
    assert (command.request.clip, command.request.seed) == (Path("x.mp4"), 5)
    assert (command.request.frames, command.request.feather_px) == ((1, 5), 3.0)
    assert command.request.invert_mask
    assert command.request.settings == {
        "guidance_scale": 5,
        "use_stopping_rule": False,
        "steps": 10,
    }


def test_the_command_line_wins_over_the_settings_table(tmp_path: Path) -> None:
    config = tmp_path / "edit.toml"
    config.write_text("[settings]\nsteps = 10\n", encoding="utf-8")
    command = read(*NEEDED, "--config", str(config), "--steps", "3")
    assert command.request.settings == {"steps": 3}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("colour = 1", "'colour'"),
        ("config = 'x'", "'config'"),
        ("[settings]\ncolour = 1", "'colour'"),
        ("settings = 3", "a table is needed"),
        ("seed = true", "seed is True"),
        ("seed = [1]", "seed is [1]"),
        ("seed = 1.5", "seed is '1.5'"),
        ("invert_mask = 'yes'", "true or false"),
        ("steps = 3\n[settings]\nsteps = 4", "steps is given twice"),
        ("device = 'tpu'", "the choices are"),
        ("seed =", "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_honoured_is_refused(tmp_path: Path, text: str, part: str) -> None:
    config = tmp_path / "edit.toml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidJobError) as caught:
        read(*NEEDED, "--config", str(config))
    assert part in caught.value.message


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frames", "5"],
        ["--frames", "a-b"],
        ["--frames=-1-5"],
        ["--size", "512"],
        ["--strength", "much"],
        ["--steps", "1.5"],
        ["--mask-channel", "red"],
        ["--preset", "best"],
        ["--config", "nowhere.toml"],
    ],
)
def test_a_value_that_cannot_be_read_is_refused(arguments: list[str]) -> None:
    with pytest.raises(InvalidJobError):
        read(*NEEDED, *arguments)


@pytest.mark.parametrize("missing", [0, 1, 3, 5])
def test_what_an_edit_needs_must_be_given(missing: int) -> None:
    arguments = NEEDED[:missing] + NEEDED[missing + (1 if missing == 0 else 2) :]
    with pytest.raises(InvalidJobError, match="missing"):
        read(*arguments)


def test_only_what_works_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command in ("setup", "edit", "run", "serve", "probe", "models"):
        assert command in text
    for absent in ("download", "evaluate", "benchmark"):
        assert absent not in text


def engine(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command, in a Python whose torch is hidden."""
    (cwd / "hidden" / "torch").mkdir(parents=True, exist_ok=True)
    (cwd / "hidden" / "torch" / "__init__.py").write_text(
        "raise ModuleNotFoundError('No module named torch', name='torch')\n", encoding="utf-8"
    )
    path = os.pathsep.join([str(cwd / "hidden"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-B", "-P", "-m", "engine", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_without_torch_each_command_says_to_run_setup(tmp_path: Path) -> None:
    job_dir = job_store.create(tmp_path, make_job(), name="x")
    edit = ["edit", "x.mp4", "--source", "a", "--target", "b", "-o", "out"]
    for arguments in (edit, ["run", str(job_dir)], ["probe"], ["serve"]):
        done = engine(*arguments, cwd=tmp_path)
        assert done.returncode == 4, done
        assert "has no " in done.stderr + done.stdout
        assert "python -m engine setup" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        if arguments[0] == "probe":
            assert json.loads(done.stdout)["backbones"][0]["id"] == "demo"
        if arguments[0] == "serve":
            assert json.loads(done.stdout.splitlines()[-1])["code"] == "environment"


def test_bad_arguments_exit_with_2_and_no_traceback(tmp_path: Path) -> None:
    for arguments in ([], ["dance"], ["edit"], ["edit", "--steps"], ["run"]):
        done = engine(*arguments, cwd=tmp_path)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    debug = engine("edit", cwd=tmp_path, DELTA_STRIP_DEBUG="1")
    assert "Traceback" in debug.stderr
