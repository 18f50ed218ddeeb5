"""Every notebook by plain papermill, one after the other, with parameters from its command line alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from notebook_place import Place

from runbook_lib.run import cells
from runbook_lib.steps.catalog import CATALOG

pytestmark = pytest.mark.sandbox


def papermill(place: Place, notebook: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    output = place.folder / f"executed-{notebook.name}"
    command = [sys.executable, "-m", "papermill", str(notebook), str(output), "--no-progress-bar", *options]
    done = subprocess.run(
        command, env=place.environ, cwd=place.folder, text=True, capture_output=True, timeout=120
    )
    return done, output


@pytest.mark.parametrize("step", CATALOG)
def test_it_runs_by_parameters_alone(place: Place, step: str) -> None:
    values = cells.parameters_for(step, place.parameters)
    done, output = papermill(place, cells.path_of(CATALOG[step]), "-y", yaml.safe_dump(values))
    assert done.returncode == 0, done.stderr[-3000:]
    book = nbformat.read(output, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    shown = "".join(str(out) for cell in code for out in cell.outputs)
    assert place.parameters["namespace"] in shown


def test_an_unknown_parameter_stops_it_before_anything_happens(place: Place) -> None:
    notebook = cells.path_of(CATALOG["install_pod"])
    done, _ = papermill(place, notebook, "-p", "namespaec", place.parameters["namespace"])
    assert done.returncode != 0
    assert "UnknownParameterError" in done.stderr
    assert "did you mean namespace?" in done.stderr


def test_a_wrong_type_is_named(place: Place) -> None:
    done, _ = papermill(place, cells.path_of(CATALOG["install_pod"]), "-p", "ready_timeout", "soon")
    assert done.returncode != 0
    assert "InvalidParameterError: parameter ready_timeout" in done.stderr
    assert "remedy:" in done.stderr
