# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the engine's tier 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import job_store
from engine.client import EngineProcess, Limits
from tests.unit.jobs import make_job
from tests.unit.processes import QUICK, StartEngine, fake_engine


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    """A new job in a folder with a name that is not simple."""
    return job_store.create(tmp_path / "jöbs here", make_job(), name="a car")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartEngine]:
    """Starts the fake engine in a scenario; all are ended after the test."""
    engines: list[EngineProcess] = []

    def start_fake(scenario: str, limits: Limits = QUICK, **variables: object) -> EngineProcess:
        engine = fake_engine(tmp_path, scenario, limits, variables)
        engine.start()
        engines.append(engine)
        return engine

    yield start_fake
    for engine in engines:
        engine.close()
