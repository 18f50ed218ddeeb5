"""The headless run does not wait for a parser that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runbook_lib.run.lean_imports import without_module

_PAPERMILL = """
import sys
from runbook_lib.run.lean_imports import IRI_PARSER, without_module
with without_module(IRI_PARSER):
    import runbook_lib.run.execution
    import nbformat
print("lark" in sys.modules)
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text")])
nbformat.validate(notebook)
notebook.cells[0]["cell_type"] = "none"
try:
    nbformat.validate(notebook)
except nbformat.ValidationError:
    print("refused")
import rfc3987_syntax
print("lark" in sys.modules)
"""


def test_notebooks_are_still_checked_without_the_parser_of_iris() -> None:
    done = subprocess.run([sys.executable, "-c", _PAPERMILL], text=True, capture_output=True, timeout=60)
    assert done.stdout.split() == ["False", "refused", "True"], done.stderr


def test_a_module_is_missing_inside_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with without_module("colorsys"), pytest.raises(ImportError):
        __import__("colorsys")
    assert __import__("colorsys") is sys.modules["colorsys"]
    with without_module("colorsys"):
        assert __import__("colorsys") is sys.modules["colorsys"]
    assert "colorsys" in sys.modules
