"""Findings, plans, the journal and the step contract."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook_lib import errors
from runbook_lib.errors import BlockedError, ClusterUnreachableError, JournalError, RunbookError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.journal import Entry, Journal
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.progress import Event
from runbook_lib.settings import Settings
from runbook_lib.steps.contract import Step


class Sample(Step):
    name = "sample"
    notebook = "00_sample.ipynb"
    title = "A sample"
    fault: Exception | None = None

    def _check(self) -> Findings:
        return Findings([Finding(Status.OK, "x", "there")])

    def _plan(self) -> Plan:
        return Plan([Change(Action.CREATE, "pod/x", "+ a", ("kubectl apply -f x",))])

    def _apply(self) -> Findings:
        if self.fault:
            raise self.fault
        self.emit(Event("k", "working", 1, 2))
        self.journal.fact(self.name, answer=42)
        return Findings([Finding(Status.OK, "x", "made")])

    def _verify(self) -> Findings:
        return Findings(
            [Finding(Status.FAIL, "x", "gone", remedy="make it", notebook="01_install_pod.ipynb")]
        )


def sample(tmp_path: Path) -> Sample:
    return Sample(Settings(run_dir=str(tmp_path)), sink=lambda _event: None)


def test_every_verb_is_journalled_with_its_time(tmp_path: Path) -> None:
    step = sample(tmp_path)
    for verb in (step.check, step.plan, step.apply, step.verify):
        verb()
    kinds = [(e.phase, e.kind) for e in step.journal.entries() if e.kind in ("findings", "plan")]
    assert kinds == [("check", "findings"), ("plan", "plan"), ("apply", "findings"), ("verify", "findings")]
    assert all(e.data["seconds"] >= 0 for e in step.journal.entries() if e.kind == "findings")
    assert step.journal.look_up("answer") == 42
    assert step.journal.look_up("nothing", "default") == "default"


def test_a_journal_is_read_line_by_line_whatever_a_program_said(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    odd = "a\u2028b\u2029c\x85d\x0be\x1cf\rg\nh"  # each of them ends a line for str.splitlines
    journal.write("one", "apply", "event", message=odd)
    for number in range(400):
        journal.write("one", "apply", "event", message="x" * 10_000, number=number)
    assert next(journal.entries()).data["message"] == odd
    tracemalloc.start()
    try:
        assert sum(1 for _ in journal.entries()) == 401
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert journal.path.stat().st_size > 4_000_000
    assert peak < 500_000, "bytes in memory at once"


def test_a_journal_that_grew_begins_anew_with_its_facts_and_newest_entries(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.trim(0)
    assert not journal.path.exists()
    journal.fact("one", answer=1, kept="a")
    journal.fact("two", answer=2)
    for number in range(400):
        journal.write("one", "apply", "event", message="x" * 100, number=number)
        journal.write("one", "check", "findings", items=[number])
    journal.trim(1 << 20)
    assert len(list(journal.entries())) == 802
    journal.trim(10_000)
    left = list(journal.entries())
    assert {e.kind for e in left} == {"fact", "findings"}
    assert [e.data["items"] for e in left if e.kind == "findings"][-1] == [399]
    assert len(left) == 302
    assert (journal.look_up("answer"), journal.look_up("kept")) == (2, "a")
    assert (tmp_path / "journal.old.jsonl").read_text().count("\n") == 802
    journal.write("one", "check", "started")
    assert len(list(journal.entries())) == 303


def test_what_another_writes_while_a_journal_begins_anew_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, other = Journal(tmp_path), Journal(tmp_path)
    journal.fact("one", answer=1)
    writer = threading.Thread(target=other.fact, args=("two",), kwargs={"answer": 2})
    whole = journal.entries

    def then_another_writes() -> Iterator[Entry]:
        yield from whole()
        writer.start()
        writer.join(0.3)

    monkeypatch.setattr(journal, "entries", then_another_writes)
    journal.trim(0)
    writer.join(10)
    assert other.look_up("answer") == 2
    assert [e.data for e in other.entries()] == [{"answer": 1}, {"answer": 2}]


def test_what_another_is_about_to_write_when_a_journal_begins_anew_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.fact("one", answer=1)
    opened, go = threading.Event(), threading.Event()
    write = os.write

    def late(descriptor: int, data: bytes) -> int:
        opened.set()
        go.wait(10)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", late)
    writer = threading.Thread(target=journal.fact, args=("two",), kwargs={"answer": 2})
    writer.start()
    opened.wait(10)
    monkeypatch.setattr(os, "write", write)
    trimming = threading.Thread(target=journal.trim, args=(0,))
    trimming.start()
    trimming.join(0.3)
    go.set()
    writer.join(10)
    trimming.join(10)
    assert journal.look_up("answer") == 2


def test_a_writer_that_was_stopped_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook_lib.journal._PATIENCE", 0.1)
    journal = Journal(tmp_path)
    journal.fact("one", answer=1)
    with journal.path.open() as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        journal.fact("one", answer=2)
        before = journal.path.read_bytes()
        journal.trim(0)
        assert journal.path.read_bytes() == before
    assert journal.look_up("answer") == 2
    journal.trim(0)
    assert journal.path.read_bytes() != before


@pytest.mark.parametrize("failing", ["journal.old.jsonl", "journal.jsonl"])
def test_a_journal_that_cannot_begin_anew_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    journal = Journal(tmp_path)
    journal.fact("one", answer=1)
    before = journal.path.read_bytes()
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == failing:
            raise OSError(errno.ENOSPC, "No space left")
        return replace(path, target)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "replace", full)
        with pytest.raises(JournalError, match="No space left"):
            journal.trim(0)
    assert journal.path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {"journal.jsonl", "journal.old.jsonl"}
    journal.trim(0)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
    assert (tmp_path / "journal.old.jsonl").read_bytes() == before


def test_a_line_that_fits_only_in_part_is_an_error_and_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.fact("one", answer=1)
    whole = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:10]))
        with pytest.raises(JournalError, match="No space left"):
            journal.fact("one", answer=2)
    journal.fact("one", other=3)
    assert (journal.look_up("answer"), journal.look_up("other")) == (1, 3)


def test_a_typed_error_is_journalled_whole_and_a_foreign_one_by_type_only(tmp_path: Path) -> None:
    step = sample(tmp_path)
    step.fault = ClusterUnreachableError("no answer", where="server", remedy="check the route")
    with pytest.raises(ClusterUnreachableError):
        step.apply()
    step.fault = OSError("may hold what must not be written")
    with pytest.raises(OSError, match="may hold"):
        step.apply()
    first, second = (e.data for e in step.journal.entries() if e.kind == "error")
    assert first["remedy"] == "check the route"
    assert second["type"] == "OSError"
    assert "may hold" not in step.journal.path.read_text()


def test_require_names_what_to_mend(tmp_path: Path) -> None:
    with pytest.raises(BlockedError, match="gone") as caught:
        sample(tmp_path).verify().require("verification")
    assert caught.value.remedy == "make it"
    assert "notebooks/01_install_pod.ipynb" in str(caught.value)


def test_no_findings_prove_nothing() -> None:
    assert not Findings().passed
    with pytest.raises(BlockedError, match="nothing was checked"):
        Findings().require("check")


def test_the_worst_status_decides() -> None:
    found = Findings(
        [Finding(Status.WARN, "a", "m"), Finding(Status.OK, "b", "m"), Finding(Status.SKIP, "c", "m")]
    )
    assert found.worst is Status.WARN
    assert found.passed


def test_markdown_tables_survive_pipes_and_newlines() -> None:
    text = Findings([Finding(Status.FAIL, "a|b", "one\ntwo", remedy="x")])._repr_markdown_()
    assert "a\\|b" in text
    assert "one<br>two" in text


def test_a_plan_knows_when_nothing_changes_and_its_digest_follows_content() -> None:
    none = Plan([Change(Action.NONE, "pod/x", commands=("kubectl apply",))])
    some = Plan([Change(Action.CREATE, "pod/x", commands=("kubectl apply",))])
    assert none.is_empty
    assert none.commands == ()
    assert not some.is_empty
    assert none.digest != some.digest
    assert some.digest == Plan(some.changes).digest
    assert "kubectl apply" in str(some)


def test_the_journal_passes_over_a_line_cut_by_a_kill(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("a", "check", "started")
    with journal.path.open("a") as stream:
        stream.write('{"time": "2026')
    assert [e.step for e in journal.entries()] == ["a"]
    journal.write("b", "check", "started")
    assert [e.step for e in journal.entries()] == ["a", "b"]


def test_an_unwritable_journal_is_a_typed_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(JournalError, match="cannot write") as caught:
        Journal(blocker / "run").write("a", "check", "started")
    assert caught.value.remedy


def test_every_error_stands_in_the_tree_at_the_top_and_survives_pickling() -> None:
    for name, cls in vars(errors).items():
        if isinstance(cls, type) and issubclass(cls, RunbookError):
            assert name in (errors.__doc__ or ""), name
            again = pickle.loads(pickle.dumps(cls("w", where="o", remedy="r", notebook="n")))  # noqa: S301
            assert (type(again), again.what, again.where, again.remedy) == (cls, "w", "o", "r")
