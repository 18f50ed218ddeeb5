"""The notebooks as files: where they are, and the parameters cell that is drawn from the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runbook_lib.errors import RunError
from runbook_lib.run.files import write_atomically
from runbook_lib.settings import fields_of
from runbook_lib.settings_sources import default_of
from runbook_lib.steps.catalog import CATALOG, StepEntry
from runbook_lib.steps.contract import REPOSITORY_ROOT

NOTEBOOKS = REPOSITORY_ROOT / "notebooks"
TAG = "parameters"
# Not "# Parameters": that is how papermill begins the cell it injects, and how it is told apart.
_HEADING = "# Defaults. Literals only: the schema in runbook_lib/settings.py is where they come from."


def parameters_source(step: str) -> str:
    """The source of `step`'s parameters cell: one literal a line, the field's description behind it."""
    rows = [
        (f"{name} = {_literal(default_of(name))}", info.description) for name, info in fields_of(step).items()
    ]
    return "\n".join([_HEADING, *(f"{assignment:<32}  # {help_text}" for assignment, help_text in rows)])


def parameters_for(step: str, values: dict[str, Any]) -> dict[str, Any]:
    """The part of `values` that `step`'s notebook has in its parameters cell."""
    return {name: values[name] for name in fields_of(step) if name in values}


def path_of(entry: StepEntry, folder: Path | None = None) -> Path:
    """The notebook file of a step.

    Raises:
        RunError: it is not there.
    """
    path = (folder or NOTEBOOKS) / entry.notebook
    if not path.is_file():
        raise RunError(
            "the notebook is missing", where=str(path), remedy="run from a checkout of the project"
        )
    return path


def synchronize(folder: Path = NOTEBOOKS, *, write: bool = True) -> list[str]:
    """Rewrite the parameters cells that differ from the schema; returns the names of those notebooks.

    Raises:
        RunError: a notebook is missing, unreadable, or has not exactly one parameters cell.
    """
    import nbformat  # with the schema checker behind it, over a second to import

    changed = []
    for entry in CATALOG.values():
        path = path_of(entry, folder)
        book = _read(path)
        cells = [c for c in book.cells if TAG in c.metadata.get("tags", [])]
        if len(cells) != 1 or cells[0].cell_type != "code":
            raise RunError(
                f"it has {len(cells)} cells with the tag {TAG}; one code cell is needed",
                where=str(path),
                remedy="tag the cell with the literals",
            )
        source = parameters_source(entry.name)
        if cells[0].source != source:
            changed.append(entry.notebook)
            cells[0].source = source
            if write:
                write_atomically(path, nbformat.writes(book) + "\n")  # type: ignore[no-untyped-call]
                path.chmod(0o644)
    return changed


def _read(path: Path) -> Any:  # noqa: ANN401
    import nbformat

    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (nbformat.reader.NotJSONError, nbformat.validator.NotebookValidationError) as e:
        raise RunError(f"it is not a notebook: {type(e).__name__}", where=str(path)) from e


def _literal(value: object) -> str:
    """Python text of a default. Strings, lists and mappings of strings look the same in JSON."""
    return repr(value) if isinstance(value, bool | int | float) else json.dumps(value, ensure_ascii=False)
