"""Builders that cannot become Ready: each told by cause, evidence and remedy, and no later than need be."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from cluster_lab import Site

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.diagnosis import diagnose, is_virtual
from runbook_lib.cluster.manifest import render
from runbook_lib.cluster.pods import candidates, is_ready
from runbook_lib.cluster.precheck import nodes
from runbook_lib.cluster.signals import Signal, is_about, is_current, is_stale, of_event, of_pod
from runbook_lib.cluster.waits import wait_ready
from runbook_lib.errors import (
    ApplyRefusedError,
    BlockedError,
    ClusterError,
    ClusterWaitError,
    InvalidParameterError,
    PodNotReadyError,
)
from runbook_lib.progress import silent_sink
from runbook_lib.settings_sources import load
from runbook_lib.steps.install_pod import InstallPod

BUSYBOX = "docker.io/library/busybox:latest"
PRIVILEGE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True)
class Case:
    """A bad builder: what is wrong with it, what must be said of it, and after how many seconds at most."""

    wrong: dict[str, Any]
    error: type[ClusterError]
    said: str
    remedy: str
    seconds: float
    place: str = ""


REFUSED = Case({}, ApplyRefusedError, "", "", 3)
CASES = {
    "tag": Case(
        {"image": "docker.io/moby/buildkit:no-such-tag"},
        PodNotReadyError,
        r"image does not exist.*no-such-tag",
        "image",
        9,
    ),
    "short-tag": Case(
        {"image": "moby/buildkit:no-such-tag"}, PodNotReadyError, r"image does not exist", "image", 9
    ),
    "malformed": Case(
        {"unchecked_image": "docker.io/Moby/BuildKit:v1"},
        PodNotReadyError,
        r"image name is not well formed \[.*(InvalidImageName|invalid reference)",
        "image",
        6,
    ),
    "no-registry": Case(
        {"image": "127.0.0.1:1/nothing:1", "ready_timeout": 8.0},
        PodNotReadyError,
        r"cannot reach the image's registry.*refused",
        "route",
        10,
    ),
    "selector": Case(
        {"node_selector": {"pool": "nowhere"}},
        PodNotReadyError,
        r"no node carries the labels of node_selector.*0/1 nodes",
        "node_selector",
        14,
    ),
    "cpu": Case(
        {"requests": {"cpu": "64"}, "ready_timeout": 8.0},
        PodNotReadyError,
        r"no node has enough free cpu.*Insufficient cpu",
        "lower requests",
        10,
    ),
    "crash": Case(
        {"image": BUSYBOX}, PodNotReadyError, r"starts and ends again.*CrashLoopBackOff", "log", 12
    ),
    "rootless-tag": Case(  # the mode adds -rootless, and not every image has such a tag
        {"image": BUSYBOX, "mode": "rootless"},
        PodNotReadyError,
        r"image does not exist.*latest-rootless",
        "image",
        9,
    ),
    "too-soon": Case({"ready_timeout": 0.05}, ClusterWaitError, "nothing says why", "raise ready_timeout", 3),
    "quota": replace(
        REFUSED, said="quota refuses.*exceeded quota: none", remedy="lower requests", place="full"
    ),
    "quota-deployment": Case(
        {"kind": "deployment"}, PodNotReadyError, "quota.*exceeded quota: none", "lower requests", 8, "full"
    ),
    "restricted": replace(
        REFUSED, said="Pod Security refuses.*privileged", remedy=f"{PRIVILEGE}=privileged", place="strict"
    ),
    "restricted-rootless": replace(
        REFUSED,
        wrong={"mode": "rootless"},
        said="seccompProfile",
        remedy=f"{PRIVILEGE}=privileged",
        place="strict",
    ),
    "restricted-deployment": Case(
        {"kind": "deployment"},
        PodNotReadyError,
        "Pod Security forbids",
        f"{PRIVILEGE}=privileged",
        8,
        "strict",
    ),
}
CONTAINERS: dict[str, tuple[list[str], float, str, str]] = {
    "words": (["sh", "-c", "echo my last words >&2; exit 7"], 60, r"exit code 7|CrashLoop", "my last words"),
    "no-program": (["/no/such/program"], 60, r"runtime cannot start|starts and ends again", "no such file"),
    "silent": (["sleep", "600"], 12, "does not answer the probe", "buildctl"),
}


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended: the error, and after how many seconds."""

    error: BaseException | None
    seconds: float


def _attempt(work: Callable[[], object]) -> Outcome:
    begun = time.monotonic()
    try:
        work()
    except Exception as e:  # noqa: BLE001 - looked at by the test it belongs to
        return Outcome(e, time.monotonic() - begun)
    return Outcome(None, time.monotonic() - begun)


@pytest.fixture(scope="module")
def places(site: Site) -> dict[str, str]:
    """Namespaces beside the site's: one whose quota is used up, one that enforces the restricted level."""
    names = {"": site.namespace, "full": f"{site.namespace}-full", "strict": f"{site.namespace}-strict"}
    for place in ("full", "strict"):
        site.kubectl("create", "namespace", names[place])
    site.kubectl("create", "quota", "none", "--hard=pods=0", f"--namespace={names['full']}")
    site.kubectl("label", "namespace", names["strict"], f"{PRIVILEGE}=restricted")
    yield names
    site.kubectl("delete", "namespace", names["full"], names["strict"], "--wait=false")


@pytest.fixture(scope="module")
def outcomes(site: Site, places: dict[str, str]) -> dict[str, Outcome]:
    """Every case at once: they wait for the node, not for each other."""

    def install(name: str, case: Case) -> None:
        values = dict(case.wrong)
        image = values.pop("unchecked_image", "")
        step = site.step(InstallPod, name=f"x-{name}", namespace=places[case.place], **values)
        if image:  # the settings would refuse it; a node must, too
            step.settings = step.settings.model_copy(update={"image": image})
        step.apply()

    def run(name: str, command: list[str], timeout: float) -> None:
        settings = site.settings(name=f"x-{name}", image=BUSYBOX, mirrors={}, registry_ca="")
        cluster = Cluster.bind(settings)
        pod = render(settings)[0]
        pod["spec"]["containers"][0] |= {"command": command}
        objects.apply(cluster, pod)
        wait_ready(cluster, settings, silent_sink, timeout)

    with ThreadPoolExecutor(len(CASES) + len(CONTAINERS)) as pool:
        running = {n: pool.submit(_attempt, lambda n=n, c=c: install(n, c)) for n, c in CASES.items()}
        for name, (command, timeout, _, _) in CONTAINERS.items():
            work = lambda n=name, c=command, t=timeout: run(n, c, t)  # noqa: E731
            running[name] = pool.submit(_attempt, work)
        found = {name: future.result() for name, future in running.items()}
    site.kubectl("delete", "pods,deployments", "--all", "--wait=false", "--grace-period=1")
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_builder_that_cannot_be_ready_is_explained(outcomes: dict[str, Outcome], name: str) -> None:
    case, outcome = CASES[name], outcomes[name]
    assert type(outcome.error) is case.error, repr(outcome.error)
    with pytest.raises(case.error, match=f"(?s){case.said}"):
        raise outcome.error
    assert case.remedy in outcome.error.remedy
    assert f"x-{name}" in outcome.error.where
    # The default of ready_timeout is 180 s: what is certain must not wait for it. Seventeen share two cores.
    assert outcome.seconds < case.seconds + 45


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_daemon_that_fails_is_quoted(outcomes: dict[str, Outcome], name: str) -> None:
    _, _, said, words = CONTAINERS[name]
    outcome = outcomes[name]
    with pytest.raises(PodNotReadyError, match=f"(?s)({said}).*{words}"):
        raise outcome.error or AssertionError("it became Ready")
    assert outcome.seconds < 40


@pytest.mark.parametrize(
    ("values", "place", "said"),
    [
        ({"node_selector": {"pool": "nowhere"}}, "", "no node fits"),
        ({"requests": {"cpu": "64"}}, "", r"more than any node has \(cpu=64\)"),
        ({"limits": {"memory": "9Ti"}}, "", r"more than any node has \(memory=9Ti\)"),
        ({}, "strict", "enforces 'restricted'"),
        ({"mode": "rootless"}, "strict", "enforces 'restricted'"),
    ],
)
def test_the_check_blocks_what_it_can_foresee(
    site: Site, places: dict[str, str], values: dict[str, Any], place: str, said: str
) -> None:
    found = site.step(InstallPod, name="foreseen", namespace=places[place], **values).check()
    with pytest.raises(BlockedError, match=said) as caught:
        found.require("install_pod")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "image", ["docker.io/Moby/BuildKit:v1", "https://docker.io/moby/buildkit", "a b", "-x"]
)
def test_a_malformed_image_is_refused_before_anything_runs(site: Site, image: str) -> None:
    with pytest.raises(InvalidParameterError, match="image"):
        site.settings(image=image)


def _seen(source: str, reason: str, text: str, count: int = 1) -> list[Signal]:
    return [Signal(source, reason, text, count)]


# Texts of nodes and clouds that the sandbox does not have, from public reports and the projects' sources.
@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        (_seen("waiting", "ImageInspectError", 'Failed to inspect image "moby/buildkit": rpc error: short '
              "name mode is enforcing, but image name moby/buildkit returns ambiguous list"),
         "image-short-name"),
        (_seen("event", "Failed", 'Failed to pull image "buildkit": short-name "buildkit" did not resolve to '
              "an alias and no unqualified-search registries are defined"), "image-short-name"),
        (_seen("condition", "PodScheduled/Unschedulable", "0/3 nodes are available: 3 node(s) had "
              "untolerated taint {nvidia.com/gpu: present}."), "no-node-taint"),
        (_seen("waiting", "ErrImagePull", "pull access denied, repository does not exist or may require "
              "authorization: server message: insufficient_scope: authorization failed"),
         "image-unauthorised"),
        (_seen("waiting", "ErrImagePull", "tls: failed to verify certificate: x509: certificate signed by "
              "unknown authority"), "image-tls"),
        (_seen("waiting", "ErrImagePull", "toomanyrequests: You have reached your pull rate limit", 2),
         "image-rate-limit"),
        (_seen("event", "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets"),
         "pull-secret-missing"),
        (_seen("terminated", "OOMKilled", "exit code 137", 2), "out-of-memory"),
        (_seen("phase", "Evicted", "The node was low on resource: ephemeral-storage."), "evicted"),
        (_seen("phase", "Terminated", "Pod was terminated: imminent node shutdown."), "evicted"),
        (_seen("phase", "NodeShutdown", "Pod was rejected as the node is shutting down."), "evicted"),
        (_seen("phase", "Preempting", "Preempted in order to admit critical pod"), "evicted"),
        (_seen("phase", "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),
         "evicted"),
        (_seen("phase", "OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu"), "evicted"),
        (_seen("event", "FailedCreatePodSandBox", "failed to create pod sandbox: user namespaces is not "
              "supported by the runtime"), "userns-unsupported"),
    ],
)  # fmt: skip
def test_what_other_nodes_say_is_understood(seen: list[Signal], cause: str) -> None:
    found = diagnose(seen, age=120)
    assert [d.cause for d in found] == [cause]
    assert found[0].final
    assert found[0].finding.evidence
    assert found[0].finding.remedy


def test_a_sign_that_may_pass_is_no_final_diagnosis() -> None:
    text = "dial tcp: i/o timeout"
    assert not diagnose(_seen("waiting", "ErrImagePull", text), age=2)[0].final
    assert diagnose(_seen("waiting", "ErrImagePull", text, 3), age=60)[0].final
    assert not diagnose(_seen("event", "Unhealthy", "Startup probe failed", 5), age=60)[0].final


def _node(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    info = {"containerRuntimeVersion": "cri-o://1.33.4", "architecture": "amd64", "kernelVersion": "5.15"}
    status = {
        "nodeInfo": {**info, "kubeletVersion": "v1.33.1"},
        "allocatable": {"cpu": "4"},
        "conditions": [],
    }
    return {"metadata": {"name": "n1", "labels": {}}, "spec": {}, "status": status} | more


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": {"name": "v1", "labels": {"type": "virtual-kubelet"}}},
        {"spec": {"providerID": "ocid1.virtualnode.oc1.iad.abc"}},
        {"spec": {"providerID": "oci://ocid1.virtualnode.oc1.iad.abc"}},
    ],
)
def test_a_virtual_node_is_final_at_once(more: dict[str, Any]) -> None:
    node = _node(**more)
    assert is_virtual(node)
    found = diagnose([], age=0, node=node)
    assert [(d.cause, d.final) for d in found] == [("virtual-node", True)]
    assert "node_selector" in found[0].finding.remedy


@pytest.mark.parametrize(
    "provider",
    [
        "",
        "ocid1.instance.oc1.iad.abc",
        "azure:///subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets"
        "/aks-pool-1-vmss/virtualMachines/0",
    ],
)
def test_a_virtual_machine_is_no_virtual_node(provider: str) -> None:
    node = _node(spec={"providerID": provider})
    assert not is_virtual(node)
    assert diagnose([], age=0, node=node) == []


def test_a_node_that_is_not_ready_is_named() -> None:
    condition = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "stopped posting",
    }
    found = diagnose([], age=0, node=_node(status={"conditions": [condition]}))
    assert [(d.cause, d.final) for d in found] == [("node-not-ready", False)]
    assert "stopped posting" in found[0].finding.evidence


@pytest.mark.parametrize(
    ("image", "warned"), [("moby/buildkit:master", True), ("docker.io/moby/buildkit:x", False)]
)
def test_short_names_are_warned_of_where_the_nodes_run_crio(
    site: Site, monkeypatch: pytest.MonkeyPatch, image: str, warned: bool
) -> None:
    monkeypatch.setattr(objects, "list_all", lambda *_: [_node()])  # OKE's node, which the sandbox is not
    settings = site.settings(image=image)
    said = "\n".join(map(str, nodes(Cluster.bind(settings), settings)))
    assert ("may refuse the short image name" in said) is warned


def _event(kind: str, name: str, uid: str = "u") -> dict[str, Any]:
    about = {"kind": kind, "name": name, "uid": uid}
    return {"metadata": {"uid": "e"}, "involvedObject": about, "reason": "Failed", "message": "m", "count": 2}


@pytest.mark.parametrize(
    ("builder", "about", "ours"),
    [
        ("pod", ("Pod", "buildkitd"), True),
        ("pod", ("Pod", "buildkitd-run"), False),
        ("pod", ("Pod", "buildkitd-two"), False),
        ("pod", ("Node", "buildkitd"), False),
        ("deployment", ("Deployment", "buildkitd"), True),
        ("deployment", ("ReplicaSet", "buildkitd-7c9f8d6b5"), True),
        ("deployment", ("Pod", "buildkitd-7c9f8d6b5-x2x4z"), True),
        ("deployment", ("Pod", "buildkitd-run"), False),
        ("deployment", ("ReplicaSet", "buildkitd-two-7c9f8d6b5"), False),
    ],
)
def test_only_events_about_this_builder_count(builder: str, about: tuple[str, str], ours: bool) -> None:
    assert is_about(_event(*about), builder, "buildkitd") is ours


def test_signs_of_an_earlier_pod_or_image_are_told_apart() -> None:
    pod = {"metadata": {"uid": "new"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "full"}}
    assert not is_current(_event("Pod", "buildkitd", "old"), pod)
    assert is_current(_event("Pod", "buildkitd", "new"), pod)
    assert is_current(_event("ReplicaSet", "buildkitd-7c9f8d6b5", "old"), pod)
    assert str(of_event(_event("Pod", "b"))) == "Failed: m (×2)"
    assert [s.source for s in of_pod(pod)] == ["phase"]
    assert [str(s) for s in of_pod({"status": {"phase": "Succeeded"}})] == ["Succeeded: "]
    signal = Signal(
        "waiting", "ErrImagePull", 'failed to pull "docker.io/moby/buildkit:v1-rootless": not found'
    )
    assert is_stale(signal, image="moby/buildkit:v1", old_image="moby/buildkit:v1-rootless")
    assert not is_stale(signal, image="moby/buildkit:v1-rootless", old_image="moby/buildkit:v1")
    assert not is_stale(signal, image="moby/buildkit:v1-rootless", old_image="")


def test_a_container_ended_to_change_its_image_is_no_crash() -> None:
    """Going back to an image that ran before, the node backs off as after a crash (kubelet 1.37, 10 s)."""
    ended = {"containerID": "c1", "exitCode": 1, "reason": "Error"}
    status = {
        "containerID": "c1",
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
        "lastState": {"terminated": ended},
        "restartCount": 1,
    }
    pod = {"status": {"containerStatuses": [status]}}
    assert [d.cause for d in diagnose(of_pod(pod), 5)] == ["crash-loop"]
    assert list(of_pod(pod, "c1")) == []
    status["lastState"] = {"terminated": {**ended, "containerID": "c2"}}
    status["containerID"] = "c2"
    assert [d.cause for d in diagnose(of_pod(pod, "c1"), 5)] == ["crash-loop"]


def test_an_ended_pod_of_a_deployment_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def pod(name: str, created: str, phase: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}}

    listed = [pod("evicted", "2026-01-02", "Failed"), pod("next", "2026-01-01", "Pending")]
    monkeypatch.setattr(objects, "list_all", lambda *_: listed)
    found = candidates(cast("Cluster", None), load({"kind": "deployment"}, environ={}))
    assert [p["metadata"]["name"] for p in found] == ["next"]


@pytest.mark.parametrize("started", [True, False])
def test_readiness_left_over_from_the_container_before_does_not_count(started: bool) -> None:
    container = {"containerID": "c2", "ready": True, "started": started}
    ready = [{"type": "Ready", "status": "True"}]
    assert is_ready({"status": {"conditions": ready, "containerStatuses": [container]}}) is started
