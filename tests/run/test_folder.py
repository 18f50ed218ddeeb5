"""Old runs are removed by a stated rule, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runbook_lib.run.folder import MANIFEST, RunFolder
from runbook_lib.settings_sources import load


def made(base: Path, keep: int = 0) -> RunFolder:
    return RunFolder.create(base, load({"keep_runs": keep}, environ={}), ("install_pod",))


def aged(folder: Path, seconds: float) -> None:
    os.utime(folder / MANIFEST, (seconds, seconds))


def test_the_newest_runs_are_kept_and_a_run_that_is_going_on(tmp_path: Path) -> None:
    (tmp_path / "interactive").mkdir()
    runs = []
    for number in range(5):
        runs.append(made(tmp_path))
        aged(runs[-1].path, number)
    lock = runs[0].hold()
    newest = made(tmp_path, keep=2)
    lock.release()
    left = {runs[0].path.name, runs[4].path.name, newest.path.name, "interactive"}
    assert {p.name for p in tmp_path.iterdir()} == left


@pytest.mark.parametrize("same_name", [False, True], ids=["other names", "names like a run's"])
def test_what_somebody_else_made_stays_and_does_not_count(tmp_path: Path, same_name: bool) -> None:
    """`run_dir` may be a folder that other programs keep theirs in, with a run.json of their own."""
    texts = ['{"started": 1}', '{"parameters": {"lr": 1}, "steps": ["train"]}', "[]", "{"]
    theirs = []
    for number in range(12):
        name = f"20200101T0000{number:02}Z" if same_name else f"experiment-{number}"
        theirs.append(tmp_path / name)
        theirs[-1].mkdir()
        (theirs[-1] / MANIFEST).write_text(texts[number % len(texts)])
        aged(theirs[-1], number)
    ours = [made(tmp_path).path, made(tmp_path).path]
    for number, path in enumerate(ours):
        aged(path, 100 + number)
    newest = made(tmp_path, keep=2).path
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in (*theirs, ours[1], newest)}


def test_a_run_that_was_given_another_name_stays(tmp_path: Path) -> None:
    kept = made(tmp_path).path.rename(tmp_path / "before the move")
    aged(kept, 1)
    newest = made(tmp_path, keep=1).path
    assert {p.name for p in tmp_path.iterdir()} == {kept.name, newest.name}


@pytest.mark.parametrize("keep", [1, 2])
def test_the_run_just_made_stays_with_a_clock_set_back(tmp_path: Path, keep: int) -> None:
    later = [made(tmp_path).path for _ in range(3)]
    for number, path in enumerate(later):
        aged(path, 4_000_000_000 + number)
    newest = made(tmp_path, keep=keep).path
    assert {p.name for p in tmp_path.iterdir()} == {newest.name, *(p.name for p in later[3 - keep + 1 :])}
