"""A builder that is less confined than its mode says is never called installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbook_lib.cluster import daemon, objects
from runbook_lib.cluster.bring_up import Brought
from runbook_lib.cluster.manifest import render
from runbook_lib.cluster.pods import ExecResult
from runbook_lib.cluster.precheck import _user_namespaces
from runbook_lib.findings import Status
from runbook_lib.journal import Journal
from runbook_lib.plan import Action
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings
from runbook_lib.steps import install_pod
from runbook_lib.steps.install_pod import InstallPod

MODES = ("privileged", "userns", "rootless")


class Somewhere:
    context, kubeconfig, namespace = "c", "", "default"


def living(mode: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    pod = render(Settings(mode=mode))[-1]  # type: ignore[arg-type]
    return {**pod, "spec": {**pod["spec"], **spec}}


def dropped() -> dict[str, Any]:
    """What an API server makes of mode userns in which user namespaces are off."""
    pod = living("userns")
    del pod["spec"]["hostUsers"]
    return pod


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallPod:
    """The step over no cluster; `live` is the Pod that is there."""
    made = InstallPod(Settings(mode="userns"), Journal(tmp_path), silent_sink)
    made.__dict__["cluster"] = Somewhere()
    monkeypatch.setattr(install_pod, "builder_pod", lambda *_: "buildkitd")
    monkeypatch.setattr(daemon, "workers", lambda *_: [{"platforms": []}])
    monkeypatch.setattr(daemon, "version", lambda *_: "v0.34.2")
    return made


def told(monkeypatch: pytest.MonkeyPatch, step: InstallPod, pod: dict[str, Any], uid_map: str) -> list[Any]:
    """What apply and verify say of the mode, with this Pod in the cluster."""
    brought = Brought((("Pod x", Action.CREATE),), pod)
    monkeypatch.setattr(install_pod, "bring_up", lambda *_: brought)
    monkeypatch.setattr(objects, "read", lambda *_: pod)
    monkeypatch.setattr(daemon, "exec_in_pod", lambda *_: ExecResult(0, uid_map.encode(), b""))
    both = (step.apply(), step.verify())
    return [next(f for f in found if f.subject == "mode") for found in both]


def test_a_user_namespace_that_the_api_server_dropped_fails_apply_and_verify(
    step: InstallPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    for found in told(monkeypatch, step, dropped(), "0 0 4294967295"):
        assert found.status is Status.FAIL
        assert "plainly privileged" in found.message
        assert "hostUsers" in found.evidence
        assert "notebook 99" in found.remedy


def test_a_user_namespace_that_the_kubelet_passed_over_fails_verify(
    step: InstallPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = told(monkeypatch, step, living("userns"), "         0          0 4294967295\n")
    assert found.status is Status.FAIL
    assert "root of the node" in found.evidence


def test_a_user_namespace_that_is_there_is_told(step: InstallPod, monkeypatch: pytest.MonkeyPatch) -> None:
    applied, verified = told(monkeypatch, step, living("userns"), "         0      65536      65536\n")
    assert applied.status is verified.status is Status.OK
    assert "user 65536 of the node" in verified.message


@pytest.mark.parametrize("asked", MODES)
@pytest.mark.parametrize("there", MODES)
def test_every_other_mode_is_told_from_the_one_asked_for(
    step: InstallPod, monkeypatch: pytest.MonkeyPatch, asked: str, there: str
) -> None:
    step.settings = Settings(mode=asked)  # type: ignore[arg-type]
    for found in told(monkeypatch, step, living(there), "0 65536 65536"):
        assert (found.status is Status.OK) is (asked == there)


def test_a_sidecar_that_comes_first_is_not_taken_for_the_builder(
    step: InstallPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    step.settings = Settings()
    pod = living("privileged")
    pod["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy"})
    assert all(f.status is Status.OK for f in told(monkeypatch, step, pod, ""))


def test_old_nodes_are_warned_of_as_what_they_give() -> None:
    node = {"status": {"nodeInfo": {"kubeletVersion": "v1.32.1"}}}
    found = _user_namespaces([node])
    assert found.status is Status.WARN
    assert "plainly privileged" in found.message
    assert "does not start" not in found.remedy
