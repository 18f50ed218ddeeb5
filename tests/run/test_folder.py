"""Old runs are removed by a stated rule, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

from runbook_lib.run.folder import MANIFEST, RunFolder
from runbook_lib.settings_sources import load


def test_the_newest_runs_are_kept_and_a_run_that_is_going_on(tmp_path: Path) -> None:
    (tmp_path / "interactive").mkdir()
    made = []
    for number in range(5):
        made.append(RunFolder.create(tmp_path, load({"keep_runs": 0}, environ={}), ("install_pod",)))
        os.utime(made[-1].path / MANIFEST, (number, number))
    lock = made[0].hold()
    newest = RunFolder.create(tmp_path, load({"keep_runs": 2}, environ={}), ("install_pod",))
    lock.release()
    left = {made[0].path.name, made[4].path.name, newest.path.name, "interactive"}
    assert {p.name for p in tmp_path.iterdir()} == left
