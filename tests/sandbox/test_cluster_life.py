"""The cluster as a person meets it: up, again, damaged, repaired, down, with what is left counted."""

import json
import signal
import time
from pathlib import Path

import psutil
import pytest
from conftest import Sandbox

from sandbox.cluster.components import COMPONENTS
from sandbox.cluster.down import container_ids, count_leftovers
from sandbox.cluster.identity import load_identity
from sandbox.cluster.processes import find_daemons

pytestmark = pytest.mark.sandbox

POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: "docker.io/library/busybox:latest", command: [sleep, "3600"]}
"""


def pids(sandbox: Sandbox) -> dict[str, int]:
    found = find_daemons(sandbox.layout.root)
    return {daemon.component: daemon.process.pid for daemon in found if not daemon.is_shim}


def run_pod(sandbox: Sandbox, name: str) -> None:
    sandbox.kubectl("apply", "-f", "-", stdin=POD.replace("NAME", name))
    sandbox.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=40s")


def test_status_is_healthy_and_within_memory(cluster: Sandbox) -> None:
    status = cluster.run("status")
    assert status["healthy"] is True
    assert all(status["components"][name] for name in COMPONENTS)
    assert status["memory"] < 900 * 1024**2


def test_second_up_starts_nothing(cluster: Sandbox) -> None:
    before = pids(cluster)
    assert set(before) == set(COMPONENTS)
    cluster.run("up")
    assert pids(cluster) == before


def test_a_pod_is_pulled_and_runs(cluster: Sandbox) -> None:
    run_pod(cluster, "pulled")
    assert "uid=0" in cluster.kubectl("exec", "pulled", "--", "id")
    events = json.loads(cluster.kubectl("get", "events", "-o", "json"))["items"]
    mine = [event for event in events if event["involvedObject"]["name"] == "pulled"]
    assert any(event["reason"] == "Pulled" for event in mine)
    assert [event["message"] for event in mine if event["type"] == "Warning"] == []


def test_service_account_token_is_issued(cluster: Sandbox) -> None:
    token = cluster.kubectl("create", "token", "default")
    assert token.count(".") == 2


@pytest.mark.parametrize("component", COMPONENTS)
def test_up_repairs_a_killed_component(cluster: Sandbox, component: str) -> None:
    before = pids(cluster)
    psutil.Process(before[component]).send_signal(signal.SIGKILL)
    time.sleep(0.2)
    assert cluster.run("status", check=False)["healthy"] is False
    cluster.run("up")
    after = pids(cluster)
    assert after[component] != before[component]
    assert {name: pid for name, pid in after.items() if name != component} == {
        name: pid for name, pid in before.items() if name != component
    }
    assert cluster.run("status")["healthy"] is True


def test_pods_work_after_all_the_repairs(cluster: Sandbox) -> None:
    run_pod(cluster, "after-repairs")


def test_down_leaves_nothing_even_after_kills_and_up_is_warm(cluster: Sandbox) -> None:
    run_pod(cluster, "doomed")
    identity = load_identity(cluster.layout)
    containers = container_ids(cluster.layout)
    before = count_leftovers(cluster.layout, identity, containers)
    # The count must be able to fail: everything it counts is there now.
    assert min(before.processes, before.mounts, before.namespaces, before.interfaces, before.cgroups) > 0
    for daemon in find_daemons(cluster.layout.root):
        daemon.process.send_signal(signal.SIGKILL)
    cluster.run("down")
    assert count_leftovers(cluster.layout, identity, containers).total() == 0
    assert str(cluster.layout.root) not in Path("/proc/self/mountinfo").read_text()
    timings = cluster.run("up")["seconds"]
    assert timings["ready"] < 20


def test_two_instances_side_by_side(cluster: Sandbox) -> None:
    other = Sandbox("test-second")
    try:
        other.run("up")
        assert other.run("status")["healthy"] is True
        assert cluster.run("status")["healthy"] is True
        run_pod(other, "second")
        run_pod(cluster, "first")
        first, second = load_identity(cluster.layout), load_identity(other.layout)
        assert first is not None
        assert second is not None
        assert first.network != second.network
        assert not set(first.ports.values()) & set(second.ports.values())
        other.run("reset")
        assert not other.layout.root.exists()
        cluster.kubectl("exec", "first", "--", "true")
        assert cluster.run("status")["healthy"] is True
    finally:
        other.run("reset")
