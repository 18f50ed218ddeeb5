"""The fixture of runs over the fake steps in `fakes/`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from runbook_lib.run import processes
from runbook_lib.steps.catalog import CATALOG

sys.path.insert(0, str(Path(__file__).parent / "fakes"))

from fake_runs import FakeRuns, book


@pytest.fixture
def fake_runs(tmp_path: Path) -> Iterator[FakeRuns]:
    runs = FakeRuns(tmp_path / "world", tmp_path / "runs", tmp_path / "notebooks")
    runs.world.mkdir()
    runs.notebooks.mkdir()
    for entry in CATALOG.values():
        nbformat.write(book(entry.name), runs.notebooks / entry.notebook)
    yield runs
    for folder in runs.base.glob("*"):
        processes.end_processes(folder)
    shutil.rmtree(runs.temporary, ignore_errors=True)
