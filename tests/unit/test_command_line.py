# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m engine`: arguments, configuration file, exit codes. Nothing here needs torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from engine import __main__ as program
from engine import job_store
from engine.command_line import EditCommand, make_parser, read_edit_command
from engine.errors import InvalidJobError
from engine.job import EditJob
from engine.reporter import Reporter
from engine.request import EditRequest
from tests.unit.jobs import make_job, touch

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ["clip.mp4", "--source", "a", "--target", "b", "-o", "out"]


def read(*arguments: str) -> EditCommand:
    return read_edit_command(vars(make_parser().parse_args(["edit", *arguments])))


def test_what_is_not_given_is_left_to_the_request() -> None:
    command = read(*NEEDED)
    wanted = EditRequest(clip=Path("clip.mp4"), source_prompt="a", target_prompt="b", threads=0)
    assert command == EditCommand(
        request=wanted, output=Path("out"), overwrite=False, is_json=False
    )


def test_every_option_reaches_the_request() -> None:
    command = read(
        *NEEDED,
        *("--mask", "1,2,3,4", "--mask-channel", "alpha", "--invert-mask", "--feather", "2.5"),
        *("--strength", "0.5", "--steps", "7", "--seed", "9", "--frames", "3-8"),
        *("--size", "512x288", "--device", "cpu", "--precision", "float32", "--threads", "2"),
        *("--method", "dds", "--backbone", "demo", "--lossless", "--overwrite", "--json"),
    )
    assert command.request == EditRequest(
        clip=Path("clip.mp4"),
        source_prompt="a",
        target_prompt="b",
        mask="1,2,3,4",
        mask_channel="alpha",
        invert_mask=True,
        feather_px=2.5,
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
    for command in ("setup", "edit", "run", "serve", "probe"):
        assert command in text
    for absent in ("models", "evaluate", "benchmark", "preset"):
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


class TestWithoutTorch:
    """The commands with tier 1 replaced."""

    @pytest.fixture
    def tier_1(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        made: dict[str, Any] = {"job": make_job(), "runs": 0}

        def make(request: EditRequest) -> EditJob:
            made["request"] = request
            return made["job"]

        def run(job_dir: Path, reporter: Reporter) -> Path:
            made["runs"] += 1
            reporter.stage("editing")
            if made.get("during"):
                made["during"]()
            if made.get("error"):
                raise made["error"]
            touch(job_dir, *(f"frames/{n:06d}.png" for n in range(1, made["job"].frame_count + 1)))
            job_store.write_atomic(job_dir / job_store.RESULT, "{}")
            return job_dir / job_store.RESULT

        class Bar(Reporter):
            def __init__(self, _cancel: object) -> None: ...

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_error: object) -> None: ...

        for name, content in (
            ("prepare", {"make_job": make}),
            ("run", {"run_job": run}),
            ("terminal", {"TerminalReporter": Bar}),
        ):
            module = types.ModuleType(f"engine.editing.{name}")
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return made

    def edit(self, out: Path, *more: str) -> int:
        arguments = ["edit", "c.mp4", "--source", "a", "--target", "b", "-o", str(out), *more]
        return program.main(arguments)

    def test_an_edit_writes_its_job_and_runs_it(
        self, tier_1: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.edit(tmp_path / "out") == 0
        assert job_store.load(tmp_path / "out") == tier_1["job"]
        assert tier_1["request"].clip == Path("c.mp4")
        assert capsys.readouterr().out.strip() == str(tmp_path / "out")

    def test_an_edit_that_is_done_is_not_done_again(
        self, tier_1: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.edit(tmp_path / "out") == self.edit(tmp_path / "out") == 0
        assert tier_1["runs"] == 1
        assert "already" in capsys.readouterr().err
        assert self.edit(tmp_path / "out", "--overwrite") == 0
        assert tier_1["runs"] == 2

    def test_the_result_of_another_edit_is_refused_with_exit_code_2(
        self, tier_1: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.edit(tmp_path / "out")
        tier_1["job"] = make_job(seed=1)
        assert self.edit(tmp_path / "out") == 2
        assert "--overwrite" in capsys.readouterr().err

    def test_the_second_of_two_edits_in_one_folder_is_refused_and_changes_nothing(
        self, tier_1: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, first = tmp_path / "out", tier_1["job"]

        def second() -> None:
            tier_1["during"] = None
            tier_1["job"] = make_job(seed=1)
            assert self.edit(out, "--overwrite") == 2
            assert "Another process" in capsys.readouterr().err
            assert job_store.load(out) == first

        tier_1["during"] = second
        assert self.edit(out) == 0
        assert tier_1["runs"] == 1
        assert job_store.load(out) == first

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (InvalidJobError("Bad.", hint="Better."), 2),
            (program.errors.NumericalError("NaN."), 4),
            (program.errors.CancelledError("Stopped."), 3),
            (ValueError("x"), 4),
        ],
    )
    def test_how_a_job_ends_is_the_exit_code(
        self, tier_1: dict[str, Any], tmp_path: Path, error: Exception, code: int
    ) -> None:
        tier_1["error"] = error
        assert self.edit(tmp_path / "out") == code

    def test_an_unexpected_fault_before_the_job_is_one_sentence(
        self,
        tier_1: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(_request: EditRequest) -> EditJob:
            raise ZeroDivisionError("on purpose")

        monkeypatch.setattr(sys.modules["engine.editing.prepare"], "make_job", fail)
        assert tier_1["runs"] == 0
        assert self.edit(tmp_path / "out") == 4
        text = capsys.readouterr().err
        assert "ZeroDivisionError: on purpose" in text
        assert "Traceback" not in text
