"""The builder from check to proof on a real node: modes, drift, conflicts, a second apply that is silent."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from cluster_lab import Site

from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import builder_pod, exec_in_pod
from runbook_lib.errors import FieldConflictError, ImmutableDriftError, NamespaceMissingError, NotOursError
from runbook_lib.findings import Findings, Status
from runbook_lib.plan import Action, Plan
from runbook_lib.settings import DEFAULT_IMAGE
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.steps.operate import Operate

# In the Pod, buildctl is the client: it asks for the mirror's token itself, so it must trust the CA as well.
BUILD = """
mkdir -p /tmp/context && cd /tmp/context && export SSL_CERT_FILE=/etc/buildkit/ca.pem
printf 'FROM busybox\\nRUN echo ran-by-$(id -u) > /proof && cat /proof\\n' > Dockerfile
exec buildctl build --no-cache --progress=plain --frontend=dockerfile.v0 \\
  --local=context=. --local=dockerfile=.
"""


@dataclass(frozen=True)
class Installed:
    """What the four verbs said about a builder with defaults, and what the reading ones wrote."""

    step: InstallPod
    check: Findings
    plan: Plan
    written_by_reading: list[str]
    written: list[str]
    verify: Findings


@pytest.fixture(scope="module")
def installed(site: Site) -> Installed:
    step = site.step(InstallPod)
    read: list[object] = []
    written_by_reading = site.written(lambda: read.extend((step.check(), step.plan())))
    written = site.written(step.apply)
    check, plan = read
    assert isinstance(check, Findings)
    assert isinstance(plan, Plan)
    return Installed(step, check, plan, written_by_reading, written, step.verify())


def test_check_and_plan_only_read(installed: Installed, site: Site) -> None:
    assert installed.check.passed
    assert [c.action for c in installed.plan.changes] == [Action.CREATE, Action.CREATE]
    assert installed.plan.changes[1].subject == f"Pod {site.namespace}/buildkitd"
    assert f"+  - image: {DEFAULT_IMAGE}" in installed.plan.changes[1].diff.replace(
        "- name: buildkitd\n+    ", "- "
    )
    lines = installed.plan.commands
    assert all(line.startswith("export ") for line in installed.plan.setup)
    assert lines[: len(installed.plan.setup)] == installed.plan.setup
    assert all("apply --server-side" in line for line in lines[len(installed.plan.setup) : -1])
    assert "wait --for=condition=Ready pod/buildkitd" in lines[-1]
    assert installed.written_by_reading == []


def test_the_builder_with_defaults_is_ready_and_answers(installed: Installed, site: Site) -> None:
    assert [w.split()[0] for w in installed.written] == ["patch", "patch"]
    assert installed.verify.passed
    said = str(installed.verify)
    assert "answers with 1 worker" in said
    assert "version v0.34.2" in said
    live = site.live("pod", "buildkitd")["status"]["containerStatuses"][0]["imageID"]
    assert installed.step.journal.look_up("builder_image_id") == live
    assert live.rpartition("@")[2].startswith("sha256:")
    assert live in said
    container = site.live("pod", "buildkitd")["spec"]["containers"][0]
    assert container["image"] == DEFAULT_IMAGE
    assert container["securityContext"] == {"privileged": True}
    assert installed.step.journal.look_up("builder_pod") == "buildkitd"


def test_the_second_run_writes_nothing(installed: Installed, site: Site) -> None:
    again = site.step(InstallPod)
    seen: list[object] = []
    work = lambda: seen.extend((again.check(), again.plan(), again.apply(), again.verify()))  # noqa: E731
    assert site.written(work) == []
    plan, apply = seen[1], str(seen[2])
    assert isinstance(plan, Plan)
    assert plan.is_empty
    assert plan.commands == ()
    assert apply.count(Action.NONE.value) == 2


@pytest.mark.parametrize(
    "values",
    [{"mode": "privileged"}, {"mode": "userns"}, {"mode": "rootless"}, {"kind": "deployment"}],
    ids=["privileged", "userns", "rootless", "deployment"],
)
def test_every_mode_runs_a_build_step(installed: Installed, site: Site, values: dict[str, str]) -> None:
    name = "buildkitd" if values == {"mode": "privileged"} else f"b-{'-'.join(values.values())}"
    step = site.step(InstallPod, name=name, **values)
    step.apply()
    assert step.verify().passed
    assert site.written(step.apply) == []
    cluster = Cluster.bind(step.settings)
    pod = builder_pod(cluster, step.settings)
    done = exec_in_pod(cluster, pod, ["sh", "-c", BUILD], timeout=60)
    output = (done.stdout + done.stderr).decode()
    assert done.code == 0, output
    assert "ran-by-0" in output.split("RUN", 1)[1]
    if name != "buildkitd":
        site.kubectl("delete", values.get("kind", "pod"), name, "--wait=false")


def test_pod_settings_arrive_and_quantities_are_compared_by_value(site: Site) -> None:
    node = site.kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    site.kubectl("create", "secret", "docker-registry", "pull", "--docker-server=x", "--docker-username=u",
                 "--docker-password=p")  # fmt: skip
    tolerations = [{"key": "builders", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]
    step = site.step(
        InstallPod,
        name="shaped",
        requests={"cpu": "0.1", "memory": "128Mi"},
        limits={"memory": "1024Mi"},
        node_selector={"kubernetes.io/hostname": node},
        tolerations=tolerations,
        image_pull_secret="pull",
    )
    assert step.check().passed
    step.apply()
    spec = site.live("pod", "shaped")["spec"]
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": node}
    assert tolerations[0] in spec["tolerations"]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert site.written(step.apply) == []
    site.kubectl("delete", "pod", "shaped", "--wait=false")


def test_drift_that_needs_a_new_pod_is_named_and_made_only_when_allowed(
    installed: Installed, site: Site
) -> None:
    before = site.live("pod", "buildkitd")["metadata"]["uid"]
    wanted = {"requests": {"memory": "64Mi"}}
    refused = site.step(InstallPod, **wanted)
    check = refused.check()
    assert [f.status for f in check if f.status is not Status.OK] == [Status.BLOCKED]
    assert "spec.containers[name=buildkitd].resources" in str(check)
    assert "needs allow_replace" in str(refused.plan())
    with pytest.raises(ImmutableDriftError, match=r"resources.*64Mi") as caught:
        refused.apply()
    assert "allow_replace" in caught.value.remedy
    assert site.live("pod", "buildkitd")["metadata"]["uid"] == before

    allowed = site.step(InstallPod, **wanted, allow_replace=True)
    assert allowed.plan().changes[-1].action is Action.REPLACE
    allowed.apply()
    assert allowed.verify().passed
    after = site.live("pod", "buildkitd")
    assert after["metadata"]["uid"] != before
    # A field that is set no longer is drift as well.
    with pytest.raises(ImmutableDriftError, match=r"resources.*absent"):
        site.step(InstallPod).apply()


def test_another_image_is_taken_in_place(installed: Installed, site: Site) -> None:
    same = {"requests": {"memory": "64Mi"}}
    site.step(InstallPod, **same, allow_replace=True).apply()
    before = site.live("pod", "buildkitd")
    step = site.step(InstallPod, **same, image="docker.io/moby/buildkit:master")
    plan = step.plan().changes[-1]
    assert plan.action is Action.UPDATE
    assert "+  - image: docker.io/moby/buildkit:master" in plan.diff
    step.apply()
    after = site.live("pod", "buildkitd")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    ids = [p["status"]["containerStatuses"][0]["containerID"] for p in (before, after)]
    assert ids[0] != ids[1]
    assert step.verify().passed


def test_a_mended_image_is_not_blamed_for_the_old_one(site: Site) -> None:
    """The Pod still says ImagePullBackOff of the old image while the new one is being pulled."""
    broken = site.step(InstallPod, name="mended", image="docker.io/moby/buildkit:no-such-tag")
    with pytest.raises(Exception, match="does not exist"):
        broken.apply()
    mended = site.step(InstallPod, name="mended")
    mended.apply()
    assert mended.verify().passed
    site.kubectl("delete", "pod", "mended", "--wait=false")


def test_a_deployment_is_updated_by_its_controller(site: Site) -> None:
    site.step(InstallPod, name="rolled", kind="deployment").apply()
    step = site.step(InstallPod, name="rolled", kind="deployment", requests={"memory": "32Mi"})
    assert step.plan().changes[-1].action is Action.UPDATE
    step.apply()
    assert step.verify().passed
    pod = site.live("pod", str(step.journal.look_up("builder_pod")))
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"memory": "32Mi"}
    site.kubectl("delete", "deployment", "rolled", "--wait=false")


def test_a_pod_that_is_being_deleted_is_waited_for_and_made_anew(site: Site) -> None:
    step = site.step(InstallPod, name="going")
    step.apply()
    old = site.live("pod", "going")["metadata"]["uid"]
    hold = '{"metadata": {"finalizers": %s}}'
    site.kubectl("patch", "pod", "going", "-p", hold % '["example.com/hold"]')
    site.kubectl("delete", "pod", "going", "--wait=false", "--grace-period=1")
    assert [c.action for c in step.plan().changes][-1] is Action.CREATE
    release = ("patch", "pod", "going", "-p", hold % "null")
    timer = threading.Timer(2.0, site.kubectl, release)
    timer.start()
    assert step.apply().passed
    timer.join()
    assert step.verify().passed
    assert site.live("pod", "going")["metadata"]["uid"] != old


def test_a_pod_that_has_ended_is_made_anew_by_the_next_run(site: Site) -> None:
    step = site.step(InstallPod, name="ended")
    step.apply()
    old = site.live("pod", "ended")["metadata"]["uid"]
    site.kubectl("patch", "pod", "ended", "-p", '{"spec": {"activeDeadlineSeconds": 1}}')
    site.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/ended", "--timeout=50s")
    found = site.step(Operate, name="ended").check()
    assert "run notebook 01 again" in str(found)
    assert "DeadlineExceeded" in str(found)
    again = site.step(InstallPod, name="ended")
    assert "to do: replace; it has ended (Failed, DeadlineExceeded)" in str(again.check())
    plan = again.plan().changes[-1]
    assert plan.action is Action.REPLACE
    assert "it has ended (Failed, DeadlineExceeded)" in plan.diff
    assert again.apply().passed
    assert again.verify().passed
    assert site.live("pod", "ended")["metadata"]["uid"] != old
    assert site.written(again.apply) == []
    site.kubectl("delete", "pod", "ended", "--wait=false")


def test_somebody_elses_pod_is_left_alone(site: Site) -> None:
    container = {"name": "app", "image": "docker.io/library/busybox:latest", "command": ["sleep", "600"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "theirs"},
        "spec": {"containers": [container]},
    }
    site.apply(pod)
    before = site.live("pod", "theirs")["metadata"]
    step = site.step(InstallPod, name="theirs", allow_replace=True)
    assert "was not made by the runbook" in str(step.check())
    assert not step.check().passed
    for verb in (step.plan, step.apply):
        with pytest.raises(NotOursError, match="was not made by the runbook") as caught:
            verb()
        assert "choose another name" in caught.value.remedy
    assert site.live("pod", "theirs")["metadata"]["uid"] == before["uid"]
    assert site.live("pod", "theirs")["metadata"].get("labels") is None
    site.kubectl("delete", "pod", "theirs", "--wait=false", "--grace-period=1")


def test_a_field_that_another_manager_owns_is_not_taken_by_force(site: Site) -> None:
    step = site.step(InstallPod, name="contested")
    step.apply()
    image = "docker.io/moby/buildkit:latest"
    spec = {"containers": [{"name": "buildkitd", "image": image}]}
    site.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "contested"}, "spec": spec}, manager="gitops"
    )
    assert "gitops" in str(step.plan())
    with pytest.raises(FieldConflictError, match="gitops") as caught:
        step.apply()
    assert "image" in caught.value.what
    assert "gitops" in caught.value.remedy
    assert site.live("pod", "contested")["spec"]["containers"][0]["image"] == image
    site.kubectl("delete", "pod", "contested", "--wait=false")


def test_a_missing_namespace_is_named_or_made(site: Site) -> None:
    name = f"{site.namespace}-made"
    step = site.step(InstallPod, namespace=name)
    assert "does not exist" in str(step.check())
    assert not step.check().passed
    for verb in (step.plan, step.apply):
        with pytest.raises(NamespaceMissingError) as caught:
            verb()
        assert "create_namespace" in caught.value.remedy

    making = site.step(InstallPod, namespace=name, create_namespace=True)  # see test_clean_up for its apply
    check = making.check()
    assert check.passed, str(check)
    plan = making.plan()
    assert plan.changes[0].subject == f"Namespace {name}"
    assert f"create namespace {name}" in plan.commands[len(plan.setup)]
