"""`clean-up`: whose builder it takes is what the run says, then what is given, and is told before it acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.journal import Journal
from runbook_lib.plan import Plan
from runbook_lib.run.cli import main
from runbook_lib.run.folder import RunFolder
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.steps.catalog import StepEntry
from runbook_lib.steps.contract import Step

BUILD = {
    "kubeconfig": "/a/kubeconfig",
    "context": "A",
    "namespace": "build",
    "name": "builder",
    "kind": "pod",
}


class Spy(Step):
    """Tells which settings and journal it was given, and does nothing."""

    name, notebook, title = "clean_up", "99_clean_up.ipynb", "Clean up"
    applied: ClassVar[list[Settings]] = []
    planned: ClassVar[list[Settings]] = []
    journals: ClassVar[list[Journal]] = []

    def _told(self) -> Findings:
        return Findings([Finding(Status.OK, "target", f"the server of {self.settings.context} answers")])

    def _check(self) -> Findings:
        return self._told()

    def _plan(self) -> Plan:
        Spy.planned.append(self.settings)
        return Plan()

    def _apply(self) -> Findings:
        Spy.applied.append(self.settings)
        Spy.journals.append(self.journal)
        return self._told()

    def _verify(self) -> Findings:
        return self._told()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seen in (Spy.applied, Spy.planned, Spy.journals):
        seen.clear()
    monkeypatch.setattr(StepEntry, "load", lambda _: Spy)
    monkeypatch.setenv("RUNBOOK_RUN_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def made(runs: Path, **values: Any) -> RunFolder:  # noqa: ANN401
    return RunFolder.create(runs, load(values, environ={}), ("install_pod",))


def target() -> dict[str, str]:
    [settings] = Spy.applied
    return {name: getattr(settings, name) for name in BUILD}


def test_the_run_that_is_named_says_whose_builder_it_was(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(runs, **BUILD)
    made(runs, context="B")
    assert main(["clean-up", "--of-run", folder.path.name]) == 0
    assert target() == BUILD
    assert Spy.journals[0].run_dir == folder.path
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"run: {folder.path}"
    assert lines[1] == "target: context A of /a/kubeconfig, namespace build, pod builder"
    assert "the server of A answers" in lines[2], "the server's own word comes before anything is removed"


def test_without_a_name_it_is_the_newest_run(runs: Path) -> None:
    made(runs, context="B", namespace="old")
    made(runs, **BUILD)
    assert main(["clean-up"]) == 0
    assert target() == BUILD


@pytest.mark.parametrize(
    "words", [["--namespace", "other", "--remove-login"], []], ids=["options", "variable"]
)
def test_what_is_given_goes_before_what_the_run_had(
    runs: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(runs, **BUILD)
    if not words:
        monkeypatch.setenv("RUNBOOK_NAMESPACE", "other")
    assert main(["clean-up", *words]) == 0
    assert target() == {**BUILD, "namespace": "other"}
    assert Spy.applied[0].remove_login is bool(words)


def test_the_context_that_was_current_in_the_run_is_the_run_s(runs: Path) -> None:
    made(runs, namespace="build").journal.fact("install_pod", builder_context="A")
    assert main(["clean-up"]) == 0
    assert target()["context"] == "A"
    Spy.applied.clear()
    assert main(["clean-up", "--kubeconfig", "/b/kubeconfig"]) == 0
    assert target()["context"] == "", "a file that is given now has a current context of its own"


def test_without_any_run_the_options_are_enough(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [w for name, value in BUILD.items() for w in (f"--{name}", value)]
    assert main(["clean-up", *words]) == 0
    assert target() == BUILD
    assert capsys.readouterr().out.startswith("target: context A of /a/kubeconfig")
    assert not runs.exists()
    assert not Spy.journals[0].run_dir.exists()
    assert main(["clean-up", "--of-run", "nosuch"]) == 2


def test_a_plan_is_made_for_the_same_builder(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(runs, **BUILD)
    assert main(["clean-up", "--plan"]) == 0
    [settings] = Spy.planned
    assert {name: getattr(settings, name) for name in BUILD} == BUILD
    assert Spy.applied == []
    assert "target: context A" in capsys.readouterr().out
