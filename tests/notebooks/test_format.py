"""The notebooks as they lie in the repository: readable, stripped, and drawn from the schema."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from runbook_lib.errors import RunError
from runbook_lib.run import cells
from runbook_lib.settings import fields_of
from runbook_lib.steps.catalog import CATALOG, StepEntry

BOOKS = [e.notebook for e in CATALOG.values()]
PAGES = ["00_start_here.ipynb"]  # pages of widgets: they have no step of their own
SITE_VALUES = re.compile(
    r"sehubjapac|wilbur|test\.06|/work/|/root/|10\.244\.|ocid1\.|password\s*=", re.IGNORECASE
)


def _read(name: str) -> NotebookNode:
    return nbformat.read(cells.NOTEBOOKS / name, as_version=4)


def _code(name: str) -> list[NotebookNode]:
    return [c for c in _read(name).cells if c.cell_type == "code"]


def _is_parameters(cell: NotebookNode) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def test_no_notebook_is_outside_the_catalog() -> None:
    found = {p.name for p in cells.NOTEBOOKS.glob("[0-9]*.ipynb")}
    assert set(BOOKS + PAGES) == found


@pytest.mark.parametrize("name", BOOKS + PAGES)
def test_it_is_valid_and_stripped(name: str) -> None:
    book = _read(name)
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) == (4, 5)
    assert book.metadata.kernelspec.name == "python3"
    ids = [c.id for c in book.cells]
    assert len(ids) == len(set(ids))
    assert all(c.outputs == [] and c.execution_count is None for c in _code(name))


@pytest.mark.parametrize("name", BOOKS + PAGES)
def test_prose_comes_before_every_code_cell(name: str) -> None:
    kinds = [c.cell_type for c in _read(name).cells]
    assert kinds[0] == "markdown"
    assert kinds[-1] == "markdown"
    assert all(kinds[i - 1] == "markdown" for i, kind in enumerate(kinds) if kind == "code")


@pytest.mark.parametrize("name", BOOKS + PAGES)
def test_cells_are_short_and_hold_no_logic(name: str) -> None:
    for cell in _code(name):
        tree = ast.parse(cell.source)
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        assert _is_parameters(cell) or len(cell.source.splitlines()) <= 12
        assert not SITE_VALUES.search(cell.source)


@pytest.mark.parametrize("name", BOOKS)
def test_it_ends_in_an_assertion(name: str) -> None:
    assert isinstance(ast.parse(_code(name)[-1].source).body[-1], ast.Assert)


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda e: e.name)
def test_parameters_are_those_of_the_schema(entry: StepEntry) -> None:
    found = [c for c in _code(entry.notebook) if _is_parameters(c)]
    assert len(found) == 1
    assert found[0].source == cells.parameters_source(entry.name)
    tree = ast.parse(found[0].source)
    values = {n.targets[0].id: ast.literal_eval(n.value) for n in tree.body}  # type: ignore[attr-defined]
    assert list(values) == list(fields_of(entry.name))
    assert not found[0].source.startswith("# Parameters")  # that is how an injected cell is told apart


@pytest.mark.parametrize("name", BOOKS + PAGES)
def test_links_lead_somewhere(name: str) -> None:
    text = "\n".join(c.source for c in _read(name).cells if c.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+\.ipynb)\)", text)
    assert links
    assert all((cells.NOTEBOOKS / link).is_file() for link in links)


def test_synchronize_mends_a_changed_cell_and_refuses_a_missing_one(tmp_path: Path) -> None:
    for name in BOOKS:
        (tmp_path / name).write_bytes((cells.NOTEBOOKS / name).read_bytes())
    assert cells.synchronize(tmp_path) == []
    victim = tmp_path / BOOKS[0]
    victim.write_text(victim.read_text().replace('namespace = \\"default\\"', 'namespace = \\"other\\"'))
    assert cells.synchronize(tmp_path, write=False) == [BOOKS[0]]
    assert cells.synchronize(tmp_path) == [BOOKS[0]]
    assert cells.synchronize(tmp_path) == []
    victim.write_text(victim.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(RunError, match="0 cells"):
        cells.synchronize(tmp_path)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_takes_only_what_its_function_takes(name: str) -> None:
    parameters = [c for c in _code(name) if _is_parameters(c)]
    assert len(parameters) == 1
    tree = ast.parse(parameters[0].source)
    values = {n.targets[0].id: ast.literal_eval(n.value) for n in tree.body}  # type: ignore[attr-defined]
    assert values == {"language": "", "sandbox": ""}


@pytest.mark.parametrize("name", BOOKS)
def test_the_panel_is_one_cell_that_nothing_needs(name: str) -> None:
    cells_of_panel = [c for c in _code(name) if "panel" in c.source]
    assert [c.source for c in cells_of_panel] == ["from runbook_lib.ui import panel\n\npanel(step)"]
