"""Folders that cannot be written or followed: a typed error, the lock is let go, nothing else is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from runbook_lib.builder import kubectl
from runbook_lib.builder.cache_guard import set_aside_broken
from runbook_lib.builder.store import Store
from runbook_lib.errors import BinaryError, BuilderError, JournalError, ResumeError, RunError
from runbook_lib.run import cli, failure, report, runner
from runbook_lib.run.files import absolute, write_atomically
from runbook_lib.run.folder import MANIFEST, RunFolder
from runbook_lib.run.runner import Run
from runbook_lib.run.watch import Tail
from runbook_lib.settings_sources import load


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run without steps; it looks for no processes."""
    settings = load({"run_dir": str(tmp_path)}, environ={})
    monkeypatch.setattr(runner, "sweep_orphans", list)
    monkeypatch.setattr(runner, "end_processes", lambda _: 0)
    return Run(settings, RunFolder.create(tmp_path, settings, ("install_pod",)), Console(quiet=True))


def test_the_lock_is_let_go_where_the_report_cannot_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(Path, "replace", full)
        with pytest.raises(RunError, match="No space left") as caught:
            run.execute(())
    assert caught.value.where.endswith("report.html")
    assert caught.value.remedy
    assert not run.folder.is_held
    assert [p.name for p in run.folder.path.iterdir() if p.name.startswith(".report")] == []
    run.execute(())
    assert (run.folder.path / "report.html").is_file()


def test_the_first_error_is_the_one_that_is_raised(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise JournalError("the first")

    monkeypatch.setattr(Run, "_all", stop)
    monkeypatch.setattr(report, "write_atomically", lambda *_: (_ for _ in ()).throw(RunError("the second")))
    with pytest.raises(JournalError, match="the first"):
        run.execute(())
    assert not run.folder.is_held


def test_the_lock_is_let_go_whatever_fails_at_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "end_processes", full)
    with pytest.raises(OSError, match="No space"):
        run.execute(())
    assert not run.folder.is_held
    assert (run.folder.path / "report.html").is_file()


def test_a_run_that_cannot_be_locked_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filelock.FileLock.acquire", full)
    with pytest.raises(RunError, match="cannot be locked: No space"):
        run.folder.hold()


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with monkeypatch.context() as fault:
        fault.setattr(Path, "replace", full)
        with pytest.raises(RunError, match="it cannot be written"):
            write_atomically(path, "new")
    with pytest.raises(RunError, match="it cannot be written"):
        write_atomically(tmp_path / "nowhere" / "file", "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
    write_atomically(path, "half a character: \ud800")


@pytest.mark.parametrize("name", ["x" * 5000, "~no-such-user-of-test/x", "a\0b"])
def test_a_name_that_is_no_path_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises((ResumeError, RunError)) as caught:
        RunFolder.find(tmp_path, name)
    assert caught.value.remedy
    with pytest.raises((ResumeError, RunError)):
        cli._folder(load({"run_dir": str(tmp_path)}, environ={}), name)


def test_links_in_a_circle_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "resolve", lambda _: (_ for _ in ()).throw(RuntimeError("Symlink loop")))
    with pytest.raises(RunError, match="Symlink loop"):
        absolute(str(tmp_path))


def test_a_run_that_is_being_removed_is_passed_over(tmp_path: Path) -> None:
    settings = load({"run_dir": str(tmp_path)}, environ={})
    made = RunFolder.create(tmp_path, settings, ("install_pod",))
    gone = tmp_path / "20990101T000000Z"
    gone.mkdir()
    (gone / MANIFEST).symlink_to(tmp_path / "nowhere")
    assert RunFolder.find(tmp_path).path == made.path


def test_a_notebook_or_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="cannot read the executed notebook"):
        failure.scrub(tmp_path / "folder", load({}, environ={}))
    with pytest.raises(JournalError, match="cannot read the run journal"):
        Tail(tmp_path / "folder").fresh()


def _link(folder: Path) -> None:
    kubectl.folder_of(folder / "kubectl-1.37", Store(load({"bin_dir": str(folder / "bin")}, environ={})))


def _cache(folder: Path) -> None:
    set_aside_broken(folder)


@pytest.mark.parametrize(("work", "error"), [(_link, BinaryError), (_cache, BuilderError)])
def test_what_cannot_be_renamed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], error: type[Exception]
) -> None:
    (tmp_path / "index.json").write_text("{ cut")
    with monkeypatch.context() as fault:
        fault.setattr(Path, "replace", full)
        with pytest.raises(error, match="No space left") as caught:
            work(tmp_path)
    assert getattr(caught.value, "remedy", "")
    work(tmp_path)
    assert os.path.lexists(tmp_path / "index.json") is (work is _link)
