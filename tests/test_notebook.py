"""How errors in cells are shown: short, redacted, whatever becomes of the journal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from runbook_lib import notebook
from runbook_lib.credentials import SecretValue
from runbook_lib.errors import ClusterError
from runbook_lib.journal import Journal
from runbook_lib.redaction import BLANK

CANARY = "cell-c4nary-with-no-other-meaning"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    monkeypatch.setattr(notebook, "get_ipython", lambda: made)
    SecretValue(CANARY)
    return made


def cell(shell: Any, capsys: pytest.CaptureFixture[str], source: str) -> str:  # noqa: ANN401
    shell.run_cell(source)
    seen = capsys.readouterr()
    return seen.out + seen.err


@pytest.mark.parametrize("fault", ["no folder", "foreign error", "no text"])
def test_secrets_stay_blanked_where_the_journal_cannot_be_written(
    shell: Any,  # noqa: ANN401
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    journal = Journal(tmp_path / "file" / "run")
    (tmp_path / "file").write_text("")  # no folder can be made below it
    if fault == "foreign error":
        monkeypatch.setattr(Journal, "write", lambda *_, **__: (_ for _ in ()).throw(OSError("disk")))
    if fault == "no text":
        monkeypatch.setattr(shell.InteractiveTB, "structured_traceback", lambda *_, **__: 1 / 0)
    notebook._show_errors_short("install_pod", journal)
    for _ in range(2):
        said = cell(shell, capsys, f"raise ValueError('{CANARY}')")
        assert CANARY not in said
        assert "ValueError" in said
        assert BLANK in said
        assert shell.custom_exceptions == (Exception,)


def test_an_error_of_the_runbook_is_short_and_noted(
    shell: Any,  # noqa: ANN401
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal = Journal(tmp_path)
    notebook._show_errors_short("install_pod", journal)
    shell.push({"error": ClusterError("no answer", where="server", remedy="check the route")})
    said = cell(shell, capsys, "raise error")
    assert said.strip().splitlines() == ["ClusterError: server: no answer", "  remedy: check the route"]
    [noted] = journal.entries()
    assert (noted.kind, noted.data["remedy"]) == ("error", "check the route")
