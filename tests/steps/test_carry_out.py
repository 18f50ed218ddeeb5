"""A whole step in process: the order of its verbs, its end in the journal, and cancelling it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import BlockedError, RunbookError, StepCancelledError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.journal import MOST_BYTES, Journal
from runbook_lib.plan import Plan
from runbook_lib.progress import Event, silent_sink
from runbook_lib.settings import Settings
from runbook_lib.steps.carry_out import carry_out
from runbook_lib.steps.contract import Step
from runbook_lib.steps.story import finished_steps, tell


class Scripted(Step):
    """A step whose verbs answer what the test says."""

    name, notebook, title = "install_pod", "01_install_pod.ipynb", "Install the builder"

    def __init__(self, run_dir: Path, **answers: Any) -> None:  # noqa: ANN401
        super().__init__(Settings(), Journal(run_dir), silent_sink)
        self.answers = answers
        self.called: list[str] = []

    def _answer(self, verb: str) -> Findings:
        self.called.append(verb)
        answer = self.answers.get(verb, Status.OK)
        if isinstance(answer, RunbookError):
            raise answer
        return Findings([Finding(answer, "subject", verb, remedy="mend it")])

    def _check(self) -> Findings:
        return self._answer("check")

    def _plan(self) -> Plan:
        self._answer("plan")
        return Plan()

    def _apply(self) -> Findings:
        self.emit(Event("work", "half done"))
        return self._answer("apply")

    def _verify(self) -> Findings:
        return self._answer("verify")


def _ignore(_phase: str, _result: object) -> None: ...


def test_four_verbs_in_order_and_done(tmp_path: Path) -> None:
    seen: list[str] = []
    step = Scripted(tmp_path)
    assert carry_out(step, lambda phase, result: seen.append(phase) if result is None else None) == "done"
    assert step.called == seen == ["check", "plan", "apply", "verify"]
    assert finished_steps(step.journal.entries()) == {"install_pod"}


def test_a_journal_that_has_grown_begins_anew_and_still_knows_what_is_done(tmp_path: Path) -> None:
    step = Scripted(tmp_path)
    carry_out(step, _ignore)
    for _ in range(5):
        step.journal.write("install_pod", "apply", "event", message="x" * (MOST_BYTES // 5))
    other = Scripted(tmp_path)
    assert carry_out(other, _ignore, finished_before=True) == "verified again"
    assert other.journal.path.stat().st_size < 10_000
    assert finished_steps(other.journal.entries()) == {"install_pod"}


def test_what_still_stands_is_only_verified(tmp_path: Path) -> None:
    step = Scripted(tmp_path)
    assert carry_out(step, _ignore, finished_before=True) == "verified again"
    assert step.called == ["verify"]


@pytest.mark.parametrize("answer", [Status.FAIL, RunbookError("it is gone")])
def test_what_no_longer_stands_is_done_anew(tmp_path: Path, answer: object) -> None:
    step = Scripted(tmp_path, verify=answer)
    with pytest.raises(RunbookError):
        carry_out(step, _ignore, finished_before=True)
    assert step.called == ["verify", "check", "plan", "apply", "verify"]


def test_a_blocking_check_changes_nothing_and_is_told(tmp_path: Path) -> None:
    step = Scripted(tmp_path, check=Status.BLOCKED)
    with pytest.raises(BlockedError):
        carry_out(step, _ignore)
    assert step.called == ["check"]
    told = tell(step.journal.entries())[0]["install_pod"]
    assert (told.status, told.error["remedy"]) == ("failed", "mend it")


def test_cancelling_ends_it_at_the_next_event(tmp_path: Path) -> None:
    step = Scripted(tmp_path)

    def watch(phase: str, _result: object) -> None:
        if phase == "apply":
            step.cancelled.set()

    with pytest.raises(StepCancelledError):
        carry_out(step, watch)
    assert step.called == ["check", "plan"]
    assert tell(step.journal.entries())[0]["install_pod"].status == "interrupted"


def test_a_run_that_was_cut_short_is_unfinished(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("install_pod", "run", "started")
    assert tell(journal.entries())[0]["install_pod"].status == "unfinished"
