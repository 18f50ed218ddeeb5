"""Where a press acts: in the sandbox's profile on the sandbox alone, whatever else was typed or recalled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from runbook_lib import credentials
from runbook_lib.cluster.kubeconfig import kubeconfig_paths, merged_of
from runbook_lib.errors import RunError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.journal import Journal
from runbook_lib.plan import Plan
from runbook_lib.steps.catalog import DEFAULT_STEPS, StepEntry
from runbook_lib.steps.contract import Step
from runbook_lib.ui import children, target
from runbook_lib.ui.actions import PAGE
from runbook_lib.ui.page import Page
from runbook_lib.ui.registry_box import VARIABLE

TYPED = "typed-c4nary-of-place"
OURS = ("sandbox", "localhost:5000")
_CLUSTER = {"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}], "users": []}


class Spy(Step):
    """Tells which context, namespace and registry a verb would have acted on, and does nothing."""

    seen: ClassVar[list[tuple[str, str, str]]] = []
    verbs: ClassVar[list[str]] = []
    failing: ClassVar[str] = ""

    def _done(self, verb: str) -> Findings:
        merged = merged_of(kubeconfig_paths(self.settings), self.settings)
        context = self.settings.context or str(merged.get("current-context"))
        Spy.seen.append((context, self.settings.namespace, self.settings.registry))
        Spy.verbs.append(f"{self.name}.{verb}")
        status = Status.FAIL if self.name == Spy.failing else Status.OK
        return Findings([Finding(status, self.name, verb)])

    def _check(self) -> Findings:
        return self._done("check")

    def _plan(self) -> Plan:
        self._done("plan")
        return Plan()

    def _apply(self) -> Findings:
        return self._done("apply")

    def _verify(self) -> Findings:
        return self._done("verify")


class World:
    """A home whose current context is `prod`, a sandbox that is only pretended, and steps that only tell."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.ups = 0
        self.fails = False
        self.during: Callable[[], None] = lambda: None
        _kubeconfig(folder / "home" / ".kube" / "config", "prod")
        self.own = {
            "kubeconfig": str(_kubeconfig(folder / "sandbox" / "kubeconfig", "sandbox")),
            "context": "sandbox", "registry": "localhost:5000", "registry_username": "sandboxns/developer",
            "registry_credential": f"file:{folder / 'sandbox' / 'token'}", "mirrors": {"docker.io": ["m:5"]},
        }  # fmt: skip

    def up(self, _instance: str, _say: object, _on_cancel: object) -> None:
        self.ups += 1
        self.during()
        if self.fails:
            raise RunError("the sandbox needs root", where="sandbox", remedy="use a context you have")

    def recall(self, profile: str, **values: Any) -> None:  # noqa: ANN401
        Journal(self.runs).write(PAGE, "", "parameters", profile=profile, values=values)

    def page(self) -> Page:
        return Page("en", "any")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("RUNBOOK_RUN_DIR", str(made.runs))
    monkeypatch.setattr(credentials, "_kept", {})
    monkeypatch.setattr(children, "sandbox_up", made.up)
    monkeypatch.setattr(children, "sandbox_values", lambda _: dict(made.own))
    monkeypatch.setattr(children, "write_report", lambda folder: folder / "report.html")
    monkeypatch.setattr(target, "survey", lambda _: ())
    spies = {
        name: type(name, (Spy,), {"name": name, "title": name, "notebook": ""}) for name in DEFAULT_STEPS
    }
    monkeypatch.setattr(StepEntry, "load", lambda self: spies[self.name])
    Spy.seen.clear()
    Spy.verbs.clear()
    monkeypatch.setattr(Spy, "failing", "")
    return made


def _kubeconfig(path: Path, context: str) -> Path:
    path.parent.mkdir(parents=True)
    named = {"name": context, "context": {"cluster": "c", "user": ""}}
    path.write_text(yaml.safe_dump({**_CLUSTER, "contexts": [named], "current-context": context}))
    return path


def _pressed(page: Page, press: Callable[[], object]) -> None:
    press()
    deadline = time.monotonic() + 10
    while page.worker.busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _places() -> set[tuple[str, str]]:
    return {(context, registry) for context, _, registry in Spy.seen}


@pytest.mark.parametrize("verb", ["check", "plan", "apply", "verify", ""])
def test_a_card_of_a_fresh_page_acts_on_the_sandbox(world: World, verb: str) -> None:
    page = world.page()
    card = page.cards["install_pod"]
    act = (lambda: page._actions.verb(card, verb)) if verb else (lambda: page._actions.whole(card))
    _pressed(page, act)
    assert _places() == {OURS}
    assert world.ups == 1
    assert {namespace for _, namespace, _ in Spy.seen} == {"buildkit-demo"}


def test_a_registry_that_was_typed_keeps_nothing_out_of_the_sandbox(world: World) -> None:
    page = world.page()
    page.choices.type_in("registry", "iad.ocir.io")
    _pressed(page, page._run_all)
    assert _places() == {OURS}
    assert len(Spy.verbs) == 16


def test_what_was_typed_for_another_cluster_does_not_come_to_the_sandbox(world: World) -> None:
    page = world.page()
    page._target.profile.value = "other"
    page.choices.update({"context": "prod", "registry": "iad.ocir.io", "namespace": "team"})
    page._target.profile.value = "sandbox"
    assert page.choices.get("context") == page.choices.get("registry") == ""
    _pressed(page, page._run_all)
    assert _places() == {OURS}
    assert {namespace for _, namespace, _ in Spy.seen} == {"buildkit-demo"}


def test_a_sandbox_that_is_recalled_is_brought_up_again(world: World) -> None:
    world.recall("sandbox", **world.own)
    page = world.page()
    _pressed(page, page._run_all)
    assert world.ups == 1
    assert _places() == {OURS}


def test_a_recalled_cluster_is_not_taken_for_the_sandbox(world: World) -> None:
    world.recall("sandbox", context="prod", registry="iad.ocir.io", registry_username="me")
    page = world.page()
    _pressed(page, lambda: page._actions.verb(page.cards["configure_auth"], "apply"))
    assert _places() == {OURS}
    assert page.choices.get("registry_username") == "sandboxns/developer"


def test_nothing_runs_where_the_sandbox_does_not_come_up(world: World) -> None:
    world.fails = True
    page = world.page()
    card = page.cards["install_pod"]
    _pressed(page, lambda: page._actions.verb(card, "apply"))
    assert card.status == "failed"
    assert "the sandbox needs root" in card._failure.children[0].value
    _pressed(page, page._run_all)
    assert "the sandbox needs root" in page._message.value
    assert Spy.seen == []


def test_a_profile_cannot_be_turned_under_what_is_at_work(world: World) -> None:
    page = world.page()
    seen: list[bool] = []

    def during() -> None:
        page.refresh()
        seen.append(page._target.profile.disabled)
        page._target.profile.value = "other"  # as a message that was on its way already

    world.during = during
    _pressed(page, lambda: page._actions.verb(page.cards["install_pod"], "apply"))
    assert seen == [True]
    assert Spy.seen == []
    assert page._target.profile.disabled is False
    assert page.choices.get("kubeconfig") == "", "what is the sandbox's does not go to another profile"


def test_what_was_changed_in_the_sandbox_stays(world: World) -> None:
    page = world.page()
    _pressed(page, page._start_sandbox)
    page.choices.type_in("namespace", "mine")
    page.choices.type_in("create_namespace", False)
    page.choices.type_in("registry_username", "sandboxns/somebody")
    page.choices.update({"context": "prod", "registry": "iad.ocir.io"})
    _pressed(page, lambda: page._actions.verb(page.cards["install_pod"], "check"))
    assert Spy.seen == [("sandbox", "mine", "localhost:5000")]
    assert page.choices.get("create_namespace") is False
    assert page.choices.get("registry_username") == "sandboxns/somebody"


def test_another_cluster_is_acted_on_as_chosen(world: World) -> None:
    page = world.page()
    page._target.profile.value = "other"
    page.choices.update({"context": "prod", "registry": "iad.ocir.io"})
    _pressed(page, lambda: page._actions.verb(page.cards["install_pod"], "apply"))
    assert Spy.seen == [("prod", "default", "iad.ocir.io")]
    assert world.ups == 0


def test_a_token_goes_with_the_profile_it_was_typed_in(world: World) -> None:
    page = world.page()
    _pressed(page, page._start_sandbox)
    page._target.profile.value = "oke"
    page._registry._take(TYPED)
    assert page.choices.get("registry_credential") == f"env:{VARIABLE}"
    for _ in range(2):
        page._target.profile.value = "sandbox"
        _pressed(page, page._start_sandbox)
        assert page.choices.get("registry_credential") == world.own["registry_credential"]
        assert not page._registry.renewed
        page._target.profile.value = "oke"
        assert page.choices.get("registry_credential") == ""
    assert not credentials.is_kept(VARIABLE)


def test_a_token_that_is_typed_in_the_sandbox_is_used_there(world: World) -> None:
    page = world.page()
    page._registry._take(TYPED)
    for press in (page._start_sandbox, page._run_all):
        _pressed(page, press)
        assert page.choices.get("registry_credential") == f"env:{VARIABLE}"


def test_a_token_that_went_with_its_kernel_is_filled_in_again(world: World) -> None:
    world.recall("sandbox", **{**world.own, "registry_credential": f"env:{VARIABLE}"})
    page = world.page()
    _pressed(page, page._run_all)
    assert page.choices.get("registry_credential") == world.own["registry_credential"]


def test_run_all_builds_again_whatever_it_goes_on_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built may have been edited since it was pushed, and no verification sees that."""
    page = world.page()
    _pressed(page, page._run_all)
    monkeypatch.setattr(Spy, "failing", "configure_auth")
    _pressed(page, page._run_all)
    monkeypatch.setattr(Spy, "failing", "")
    Spy.verbs.clear()
    _pressed(page, page._run_all)
    verbs = ("check", "plan", "apply", "verify")
    redone = [f"{step}.{verb}" for step in ("configure_auth", "test_push") for verb in verbs]
    assert Spy.verbs == ["install_pod.verify", *redone[:4], "fetch_buildctl.verify", *redone[4:]]
