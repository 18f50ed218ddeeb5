"""The report's headline and the last lines of a run, from journals of runs that did only a part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook_lib import journal as journal_module
from runbook_lib.journal import Journal
from runbook_lib.run import story
from runbook_lib.run.folder import RunFolder
from runbook_lib.run.report import _headline, summary, write
from runbook_lib.steps.story import tell

OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
Deed = Callable[[Journal], object]


def test_a_run_of_step_3_alone_has_a_summary_and_a_report(tmp_path: Path) -> None:
    Journal(tmp_path).fact("fetch_buildctl", daemon_version="v0.34.2", builder_pod="buildkitd")
    folder = RunFolder(tmp_path)
    assert summary(folder) == [f"report:  {tmp_path / 'report.html'}"]
    assert "<html" in write(folder).read_text()
    Journal(tmp_path).fact("install_pod", builder_pod="buildkitd", builder_namespace="build")
    assert summary(folder)[0] == "builder: build/buildkitd was Ready already"


def pushed(digest: str = NEW) -> Deed:
    return lambda journal: journal.fact(
        "test_push", pushed_reference="reg/x:1", pushed_references=["reg/x:1"], pushed_digest=digest
    )


def verify(status: str) -> Deed:
    item = {
        "status": status,
        "subject": "tag reg/x:1",
        "message": "m",
        "evidence": "",
        "remedy": "push again",
    }
    return lambda journal: journal.write("test_push", "verify", "findings", items=[item], seconds=1.0)


def error(phase: str, kind: str = "PushNotProvenError") -> Deed:
    record = {"type": kind, "what": "no build with these tags", "where": "reg/x:1", "remedy": "apply first"}
    return lambda journal: journal.write("test_push", phase, "error", **record, seconds=1.0)


def begun(phase: str) -> Deed:
    return lambda journal: journal.write("test_push", phase, "started")


def ended(status: str) -> Deed:
    return lambda journal: journal.write("test_push", "run", "finished", status=status, seconds=1.0)


def nothing_checked(journal: Journal) -> None:
    journal.write("test_push", "verify", "findings", items=[], seconds=1.0)


JOURNALS: dict[str, tuple[list[Deed], str, str]] = {
    "verified": ([pushed(), verify("ok")], "good", "Pushed and proven"),
    "warned": ([pushed(), verify("warn")], "good", "Pushed and proven"),
    "never verified": ([pushed()], "neutral", "Pushed, not proven"),
    "verification raised": ([pushed(), error("verify")], "bad", "Failed"),
    "verification cancelled": ([pushed(), error("verify", "StepCancelledError")], "bad", "Interrupted"),
    "verification cut short": ([pushed(), begun("verify")], "neutral", "Pushed, not proven"),
    "newest fails": ([pushed(), verify("ok"), verify("fail")], "bad", "Failed"),
    "newest blocks": ([pushed(), verify("ok"), verify("blocked")], "bad", "Failed"),
    "newest raises": ([pushed(), verify("ok"), error("verify")], "bad", "Failed"),
    "newest checks nothing": ([pushed(), verify("ok"), nothing_checked], "bad", "Failed"),
    "newest passes": ([pushed(), verify("fail"), verify("ok")], "good", "Pushed and proven"),
    "another push since": ([pushed(OLD), verify("ok"), pushed()], "neutral", "Pushed, not proven"),
    "the next push failed": ([pushed(OLD), verify("ok"), error("apply")], "bad", "Failed"),
    "a run ended well": ([begun("run"), pushed(), ended("done")], "good", "Pushed and proven"),
    "a run found it so": ([pushed(), begun("run"), ended("verified again")], "good", "Pushed and proven"),
    "a run failed": ([begun("run"), pushed(), verify("fail"), ended("failed")], "bad", "Failed"),
    "a run was killed": ([begun("run"), pushed(), verify("ok")], "bad", "Cut short"),
    "run, then gone": ([begun("run"), pushed(), ended("done"), verify("fail")], "bad", "Failed"),
    "run, then pushed": ([begun("run"), pushed(OLD), ended("done"), pushed()], "neutral", "Pushed, not"),
}


@pytest.mark.parametrize(("deeds", "kind", "title"), JOURNALS.values(), ids=JOURNALS)
def test_only_what_is_proven_is_said_to_be(
    tmp_path: Path, deeds: list[Deed], kind: str, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_time(monkeypatch)
    for deed in deeds:
        deed(Journal(tmp_path))
    folder = RunFolder(tmp_path)
    headline = _headline(story.read(folder))
    assert headline["kind"] == kind
    assert headline["title"].startswith(title)
    proven = story.read(folder).proven
    assert ("pushed:  reg/x:1" in summary(folder)) is proven
    assert ("pushed, not proven: reg/x:1" in summary(folder)) is not proven
    assert proven or "Pushed and proven" not in write(folder).read_text()
    if kind == "good":
        Journal(tmp_path).trim(0)  # which puts the facts first
        assert story.read(folder).proven


def test_a_journal_that_began_anew_proves_no_more_than_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_time(monkeypatch)
    journal = Journal(tmp_path)
    for deed in (pushed(OLD), verify("ok"), pushed()):
        deed(journal)
    journal.trim(0)
    assert [e.kind for e in journal.entries()] == ["fact", "fact", "fact", "findings"]
    assert not story.read(RunFolder(tmp_path)).proven


def test_a_failed_verification_says_what_to_do(tmp_path: Path) -> None:
    for deed in (pushed(), verify("fail")):
        deed(Journal(tmp_path))
    told = tell(Journal(tmp_path).entries())[0]["test_push"]
    assert (told.status, told.error["where"], told.error["remedy"]) == ("failed", "tag reg/x:1", "push again")
    verify("ok")(Journal(tmp_path))
    told = tell(Journal(tmp_path).entries())[0]["test_push"]
    assert (told.status, told.error) == ("done", {})


def tell_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries a second apart: the journal's milliseconds are not enough for a test."""

    class Clock(datetime):
        ticks = 0

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            cls.ticks += 1
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=cls.ticks)

    monkeypatch.setattr(journal_module, "datetime", Clock)
