# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m engine edit` with tier 1 replaced: what it writes, refuses, says and returns."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import engine.__main__ as program
from engine import job_store
from engine.errors import InvalidJobError
from engine.job import EditJob
from engine.reporter import Reporter
from engine.request import EditRequest
from tests.unit.jobs import make_job, touch


class TestWithoutTorch:
    """The commands with tier 1 replaced."""

    @pytest.fixture
    def tier_1(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        made: dict[str, Any] = {"job": make_job(), "runs": 0}

        def make(request: EditRequest) -> EditJob:
            made["request"] = request
            return made["job"]

        def run(job_dir: Path, reporter: Reporter, **options: object) -> Path:
            made["runs"] += 1
            made["store"] = options["store"]
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
            ("references", {"FOLDER": "references", "ReferenceStore": lambda *facts: facts}),
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

    def test_references_are_kept_where_they_are_asked_for(
        self, tmp_path: Path, tier_1: dict[str, Any]
    ) -> None:
        assert self.edit(tmp_path / "one") == 0
        assert tier_1["store"] is None
        kept = tmp_path / "kept"
        assert self.edit(tmp_path / "two", "--references", str(kept), "--references-mb", "5") == 0
        assert tier_1["store"] == (kept, 5_000_000)

    def test_references_of_job_folders_are_kept_beside_them(
        self, tmp_path: Path, tier_1: dict[str, Any]
    ) -> None:
        for size, store in ((7, (tmp_path / "references", 7_000_000)), (0, None)):
            job_dir = tmp_path / f"job {size}"
            job_dir.mkdir()
            program._runner(None, size)(job_dir, Reporter())
            assert tier_1["store"] == store

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

    @pytest.mark.parametrize("is_json", [False, True])
    def test_a_name_that_no_file_can_have_is_a_sentence(
        self,
        tier_1: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        is_json: bool,
    ) -> None:
        def look(_request: EditRequest) -> EditJob:
            (tmp_path / ("x" * 256)).stat()
            return tier_1["job"]

        monkeypatch.setattr(sys.modules["engine.editing.prepare"], "make_job", look)
        said = self.refused(tmp_path, capfd, *(["--json"] * is_json))
        assert "cannot be used: File name too long." in said.err
        assert "Unexpected" not in said.err
        if is_json:
            assert json.loads(said.out)["code"] == "invalid_job"

    def test_a_bad_value_is_told_as_json_where_that_is_asked_for(
        self, tier_1: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        config = tmp_path / "edit.toml"
        config.write_text("json = true\nframes = 3\n", encoding="utf-8")
        for arguments in (["--json", "--steps", "x"], ["--config", str(config)]):
            said = self.refused(tmp_path, capfd, *arguments)
            message = json.loads(said.out)
            assert (message["type"], message["code"]) == ("failure", "invalid_job")
            assert message["message"] in said.err
        assert tier_1["runs"] == 0

    def refused(self, tmp_path: Path, capfd: Any, *more: str) -> Any:
        descriptor = os.dup(1)  # the channel keeps it for itself
        try:
            assert self.edit(tmp_path / "out", *more) == 2
        finally:
            os.dup2(descriptor, 1)
            os.close(descriptor)
        return capfd.readouterr()
