"""What is done about a living object that differs, over objects in memory."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runbook_lib.cluster import objects
from runbook_lib.cluster.apply import apply_object, drift_of, plan_object
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.manifest import CONFIG_HASH, SET_TOLERATIONS, render
from runbook_lib.errors import ImmutableDriftError, NotOursError
from runbook_lib.findings import Status
from runbook_lib.journal import Journal
from runbook_lib.plan import Action, Change
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.steps import upgrade
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.ui import texts
from runbook_lib.ui.said import said

EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}


class Cell:
    """One builder Pod, or none, and what is done to it."""

    def __init__(self) -> None:
        self.live: dict[str, Any] | None = None
        self.calls: list[str] = []
        self.cluster = cast("Cluster", SimpleNamespace(namespace="team", kubectl_words="kubectl"))

    def holds(self, settings: Settings, status: dict[str, Any], **metadata: Any) -> None:  # noqa: ANN401
        self.live = copy.deepcopy(render(settings)[-1])
        self.live["metadata"] |= {"uid": "old", **metadata}
        self.live["status"] = status

    def read(self, *_: object) -> dict[str, Any] | None:
        return self.live

    def apply(self, _: object, wanted: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        self.calls += [] if dry_run else ["apply"]
        return wanted

    def delete(self, *_: object, uid: str) -> bool:
        self.calls.append(f"delete {uid}")
        self.live = None
        return True

    def plan(self, settings: Settings) -> Change:
        return plan_object(self.cluster, render(settings)[-1], allow_replace=settings.allow_replace)

    def bring(self, settings: Settings) -> Action:
        wanted = render(settings)[-1]
        return apply_object(
            self.cluster, wanted, allow_replace=settings.allow_replace, timeout=1, sink=silent_sink
        )


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    made = Cell()
    for verb in ("read", "apply", "delete"):
        monkeypatch.setattr(objects, verb, getattr(made, verb))
    return made


def settings(**values: Any) -> Settings:  # noqa: ANN401
    return load(values, environ={})


@pytest.mark.parametrize("status", [EVICTED, {"phase": "Failed"}, {"phase": "Succeeded"}])
@pytest.mark.parametrize("changed", [{}, {"requests": {"memory": "64Mi"}}], ids=["same", "changed"])
def test_a_pod_that_has_ended_is_made_anew_without_leave(
    cell: Cell, status: dict[str, Any], changed: dict[str, Any]
) -> None:
    cell.holds(settings(), status)
    plan = cell.plan(settings(**changed))
    assert plan.action is Action.REPLACE
    assert f"!it has ended ({status['phase']}" in plan.diff
    assert "allow_replace" not in plan.diff
    assert "delete pod buildkitd --wait" in plan.commands[0]
    assert cell.calls == []
    assert cell.bring(settings(**changed)) is Action.REPLACE
    assert cell.calls == ["delete old", "apply"]


@pytest.mark.parametrize("phase", ["Running", "Pending", "Unknown"])
def test_a_pod_that_has_not_ended_stays(cell: Cell, phase: str) -> None:
    cell.holds(settings(), {"phase": phase})
    assert cell.plan(settings()).action is Action.NONE
    assert cell.bring(settings()) is Action.NONE
    assert cell.calls == []


def test_an_ended_pod_of_somebody_else_is_left_alone(cell: Cell) -> None:
    cell.holds(settings(), EVICTED, labels={"app": "theirs"})
    for look in (cell.plan, cell.bring):
        with pytest.raises(NotOursError, match="Failed"):
            look(settings(allow_replace=True))
    assert cell.calls == []


def test_an_ended_pod_that_is_going_is_waited_for(cell: Cell) -> None:
    cell.holds(settings(), EVICTED, deletionTimestamp="2026-01-01T00:00:00Z")
    assert drift_of(cell.cluster, render(settings())[-1]).action is Action.CREATE


def test_the_check_says_why_a_pod_is_made_anew_in_both_languages(cell: Cell, tmp_path: Path) -> None:
    cell.holds(settings(), EVICTED)
    step = InstallPod(settings(), Journal(tmp_path), silent_sink)
    step.cluster = cell.cluster
    [found] = step._builder()
    assert found.status is Status.OK
    assert found.message.startswith("to do: replace; it has ended (Failed, Evicted)")
    texts.use("zh_CN")
    try:
        shown = said(found.message)
    finally:
        texts.use("en")
    assert shown.startswith("待办：替换；它已终止（Failed, Evicted）")
    assert "anew" not in shown


@pytest.mark.parametrize(("status", "lost"), [(EVICTED, False), ({"phase": "Running"}, True)])
def test_an_upgrade_of_an_ended_pod_loses_nothing(cell: Cell, status: dict[str, Any], lost: bool) -> None:
    cell.holds(settings(), status)
    new = settings(upgrade_to="v9.9.9", mode="userns", allow_replace=True)
    live = upgrade.live_builder(cell.cluster, new)
    change = upgrade.plan(cell.cluster, new, live)[-1]
    assert change.action is Action.REPLACE
    assert ("lost by this" in change.diff) is lost


ARM = {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}
BUILDERS = {"key": "builders", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
# What an API server adds to every Pod, and what a cloud's webhook may add.
ADDED = [
    {
        "key": "node.kubernetes.io/not-ready",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    },
    {"key": "spot.example", "operator": "Exists"},
]


@pytest.mark.parametrize("kind", ["pod", "deployment"])
@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        ([ARM], [ARM], Action.NONE),
        ([ARM, BUILDERS], [BUILDERS, ARM], Action.NONE),
        ([ARM], [ARM, BUILDERS], Action.UPDATE),
        ([], [ARM], Action.UPDATE),
        ([BUILDERS], [{**BUILDERS, "tolerationSeconds": 90}], Action.UPDATE),
        ([ARM], [{**ARM, "value": "amd64"}], Action.REPLACE),
        ([ARM], [BUILDERS], Action.REPLACE),
        ([ARM, BUILDERS], [ARM], Action.REPLACE),
    ],
)
def test_a_living_pod_takes_more_tolerations_and_no_others(
    cell: Cell, kind: str, before: list[Any], after: list[Any], action: Action
) -> None:
    """As the API does: `existing toleration can not be modified except its tolerationSeconds`."""
    old, new = (settings(kind=kind, tolerations=t) for t in (before, after))
    cell.holds(old, {"phase": "Running"})
    assert cell.live
    if kind == "pod":
        cell.live["spec"]["tolerations"] = [*before, *ADDED]
    elif action is Action.REPLACE:
        action = Action.UPDATE  # a Deployment makes new Pods
    assert cell.plan(new).action is action
    if action is not Action.REPLACE:
        assert cell.bring(new) is action
        return
    with pytest.raises(ImmutableDriftError, match="toleration"):
        cell.bring(new)
    assert cell.calls == []
    assert cell.bring(new.model_copy(update={"allow_replace": True})) is action
    assert cell.calls == ["delete old", "apply"]


def test_what_is_noted_of_tolerations_leaves_the_configuration_s_hash() -> None:
    given = {"tolerations": [ARM], "mirrors": {"docker.io": ["mirror.example:5000"]}}
    for kind in ("pod", "deployment"):
        builder = render(settings(kind=kind, **given))[-1]
        template = builder["spec"]["template"] if kind == "deployment" else builder
        assert CONFIG_HASH in template["metadata"]["annotations"]
        assert SET_TOLERATIONS in builder["metadata"]["annotations"]
    assert SET_TOLERATIONS not in template["metadata"]["annotations"]
