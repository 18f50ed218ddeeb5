"""Which run folders stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook_lib.run.cli import main
from runbook_lib.run.folder import RunFolder, drop_old_runs
from runbook_lib.settings import Settings


def test_the_newest_runs_and_those_at_work_stay(tmp_path: Path) -> None:
    made = [RunFolder.create(tmp_path, Settings(), ("install_pod",)).path for _ in range(5)]
    (tmp_path / "interactive").mkdir()
    (tmp_path / "interactive" / "journal.jsonl").write_text("")
    lock = RunFolder(made[0]).hold()
    dropped = drop_old_runs(tmp_path, 2)
    assert dropped == [p.name for p in made[1:3]]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [made[0].name, *(p.name for p in made[3:]), "interactive"]
    )
    lock.release()
    assert drop_old_runs(tmp_path, 2) == [made[0].name]
    assert drop_old_runs(tmp_path, 2) == []


def test_none_at_all_cannot_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--keep-runs", "0"])
    assert "at least 1" in capsys.readouterr().err
