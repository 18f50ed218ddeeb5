"""Running a pushed image, over objects in memory: what it may remove, and what it must not leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runbook_lib.cluster import objects, run_image
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import labels
from runbook_lib.errors import (
    ClusterError,
    ClusterUnreachableError,
    ClusterWaitError,
    NotOursError,
    StepCancelledError,
)
from runbook_lib.settings_sources import load

NAME = "buildkitd-run"
IMAGE = "reg.example/a@sha256:" + "0" * 64
LOGINS = {"auths": {"reg.example": {"auth": "dTp0b2tlbg=="}}}
OLD = labels("run-0123456789abcdef")


class World:
    """Objects by kind, all under one name; `fails` raises at (verb, kind).

    `ends` is a new Pod's phase; where it `sticks`, a deletion is taken and does nothing.
    """

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.fails: dict[tuple[str, str], Exception] = {}
        self.ends = "Succeeded"
        self.sticks = False
        self.applied: dict[str, dict[str, Any]] = {}
        self.after: Callable[[str, str], None] = lambda _verb, _kind: None
        log = SimpleNamespace(data=b"hello")
        self.core = SimpleNamespace(read_namespaced_pod_log=lambda *_, **__: log)
        self.server, self.namespace, self.request_timeout = "https://server", "team", (1.0, 1.0)
        self.kubectl_words = "kubectl --namespace=team"
        self.settings = load({}, environ={})

    def has(self, kind: str, marks: dict[str, str]) -> None:
        self.there[kind] = {"metadata": {"name": NAME, "uid": f"old-{kind}", "labels": marks}}

    def _note(self, verb: str, kind: str) -> None:
        self.calls.append((verb, kind))
        if (verb, kind) in self.fails:
            raise self.fails[verb, kind]

    def read(self, _: object, kind: str, name: str) -> dict[str, Any] | None:
        assert name == NAME
        self._note("read", kind)
        return self.there.get(kind)

    def apply(self, _: object, obj: dict[str, Any]) -> dict[str, Any]:
        kind = obj["kind"]
        self.applied[kind] = obj
        live = {**obj, "metadata": {**obj["metadata"], "uid": f"new-{kind}"}}
        self.there[kind] = {**live, "status": {"phase": self.ends}} if kind == "Pod" else live
        self._note("apply", kind)  # an answer that is lost comes after the deed
        self.after("apply", kind)
        return live

    def delete(self, _: object, kind: str, name: str, uid: str = "", grace: int | None = None) -> bool:
        assert name == NAME
        assert grace == (0 if kind == "Pod" else None)
        self._note("delete", kind)
        assert uid, "deleted by name alone"
        if not self.sticks and self.there.get(kind, {}).get("metadata", {}).get("uid") == uid:
            del self.there[kind]
        return True

    def run(self, timeout: float = 120.0, cancel: threading.Event | None = None) -> str:
        settings = self.settings.model_copy(update={"ready_timeout": timeout})
        return run_image.run_image(cast("Cluster", self), settings, IMAGE, LOGINS, cancel)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    for verb in ("read", "apply", "delete"):
        monkeypatch.setattr(objects, verb, getattr(made, verb))
    monkeypatch.setattr(run_image, "_POLL", 0.01)
    return made


def test_the_image_is_pulled_anew_bounded_and_nothing_is_left(world: World) -> None:
    assert world.run(timeout=10) == "hello"
    assert world.there == {}
    spec = world.applied["Pod"]["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    assert spec["activeDeadlineSeconds"] == 40
    marks = {world.applied[k]["metadata"]["labels"]["app.kubernetes.io/instance"] for k in world.applied}
    assert len(marks) == 1
    assert marks != {"buildkitd"}


@pytest.mark.parametrize("kind", ["Pod", "Secret"])
@pytest.mark.parametrize(
    "marks", [{}, {"app": "theirs"}, labels("buildkitd"), labels(NAME)], ids=["none", "other", "ours", "name"]
)
def test_what_no_run_made_is_neither_replaced_nor_removed(
    world: World, kind: str, marks: dict[str, str]
) -> None:
    for each in ("Pod", "Secret"):
        world.has(each, OLD)
    world.has(kind, marks)
    before = dict(world.there)
    with pytest.raises(NotOursError, match=f"a {kind} of this name") as caught:
        world.run()
    assert NAME in caught.value.where
    assert f"delete {kind.lower()} {NAME}" in caught.value.remedy
    assert world.there == before
    assert {verb for verb, _ in world.calls} == {"read"}


def test_what_a_killed_run_left_is_replaced(world: World) -> None:
    world.has("Pod", OLD)
    world.has("Secret", OLD)
    assert world.run() == "hello"
    assert world.there == {}


@pytest.mark.parametrize("deleted", [True, False])
def test_a_pod_that_is_taken_away_meanwhile_ends_the_wait(world: World, deleted: bool) -> None:
    world.ends = "Running"

    def away(_: str, kind: str) -> None:
        if kind == "Pod" and deleted:
            del world.there["Pod"]
        elif kind == "Pod":
            world.there["Pod"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    world.after = away
    with pytest.raises(ClusterError, match="removed while the image ran"):
        world.run(timeout=60)
    assert world.there == {}


def test_what_somebody_else_made_meanwhile_stays(world: World) -> None:
    def replaced(_: str, kind: str) -> None:
        if kind == "Pod":
            world.has("Secret", {"app": "theirs"})

    world.after = replaced
    assert world.run() == "hello"
    assert list(world.there) == ["Secret"]


@pytest.mark.parametrize("verb", ["read", "delete"])
def test_the_login_goes_also_where_the_pod_cannot_be_removed(world: World, verb: str) -> None:
    def break_down(_: str, kind: str) -> None:
        if kind == "Pod":
            world.fails[verb, "Pod"] = ClusterUnreachableError("no answer")

    world.after = break_down
    with pytest.raises(ClusterUnreachableError, match="no answer"):
        world.run()
    assert list(world.there) == ["Pod"]


def test_the_first_error_is_the_one_that_is_raised(world: World) -> None:
    world.fails = {
        ("apply", "Pod"): ClusterError("refused"),
        ("delete", "Pod"): ClusterUnreachableError("no answer"),
        ("delete", "Secret"): ClusterUnreachableError("no answer either"),
    }
    with pytest.raises(ClusterError, match="refused"):
        world.run()
    assert world.calls[-1] == ("delete", "Secret")


def test_a_secret_whose_making_was_not_confirmed_is_removed(world: World) -> None:
    world.fails["apply", "Secret"] = ClusterUnreachableError("the answer was lost")
    with pytest.raises(ClusterUnreachableError):
        world.run()
    assert world.there == {}


def test_waiting_ends_in_time_and_when_it_is_cancelled(world: World) -> None:
    world.ends = "Pending"
    with pytest.raises(ClusterWaitError, match="has not ended"):
        world.run(timeout=0.05)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(StepCancelledError):
        world.run(cancel=cancel)
    assert world.there == {}
    world.has("Pod", OLD)
    world.sticks = True
    with pytest.raises(StepCancelledError):
        world.run(cancel=cancel)


TOLERATION = {"key": "builders", "operator": "Exists", "effect": "NoSchedule"}
BESIDE_THE_BUILDER = {
    "labelSelector": {"matchLabels": labels("buildkitd")},
    "topologyKey": "kubernetes.io/arch",
}


@pytest.mark.parametrize(
    ("values", "selector", "beside"),
    [
        ({}, None, [BESIDE_THE_BUILDER]),
        ({"node_selector": {"pool": "b"}}, {"pool": "b"}, [BESIDE_THE_BUILDER]),
        ({"platforms": ["linux/arm64"]}, {"kubernetes.io/arch": "arm64"}, None),
        ({"platforms": ["linux/arm64/v8"], "node_selector": {"pool": "b"}},
         {"pool": "b", "kubernetes.io/arch": "arm64"}, None),
        ({"platforms": ["linux/amd64", "linux/arm64"]}, None, None),
        ({"platforms": ["linux/386"]}, None, None),
    ],
)  # fmt: skip
def test_the_image_runs_where_the_builder_may_and_on_what_it_is_built_for(
    world: World, values: dict[str, Any], selector: dict[str, str] | None, beside: list[object] | None
) -> None:
    world.settings = load({**values, "tolerations": [TOLERATION]}, environ={})
    world.run()
    spec = world.applied["Pod"]["spec"]
    assert spec["tolerations"] == [TOLERATION]
    assert spec.get("nodeSelector") == selector
    affinity = spec.get("affinity", {}).get("podAffinity", {})
    assert affinity.get("requiredDuringSchedulingIgnoredDuringExecution") == beside


def test_an_image_that_no_node_takes_is_told_by_the_scheduler_s_words(world: World) -> None:
    world.ends = "Pending"
    said = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."

    def unschedulable(_: str, kind: str) -> None:
        if kind == "Pod":
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": said,
            }
            world.there["Pod"]["status"]["conditions"] = [condition]

    world.after = unschedulable
    with pytest.raises(ClusterWaitError, match=r"phase Pending Unschedulable: 0/1 nodes"):
        world.run(timeout=0.05)


def test_a_failed_program_says_what_it_printed(world: World) -> None:
    world.ends = "Failed"
    with pytest.raises(ClusterError, match="hello"):
        world.run()
    assert world.there == {}
