"""A living builder on the sandbox is probed, brought to another version or mode, and gone back with."""

from __future__ import annotations

import pytest
from cluster_lab import Site

from runbook_lib import redaction
from runbook_lib.errors import BuildFailedError, InvalidParameterError, StepCancelledError, UpgradeFailedError
from runbook_lib.findings import Finding, Status
from runbook_lib.plan import Action
from runbook_lib.progress import Event
from runbook_lib.settings import DEFAULT_IMAGE
from runbook_lib.steps.clean_up import CleanUp
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.steps.operate import Operate
from runbook_lib.steps.upgrade import Live, image_for

pytestmark = pytest.mark.sandbox
_ENFORCE = "pod-security.kubernetes.io/enforce"
_MASTER = "docker.io/moby/buildkit:master"


@pytest.fixture(scope="module", name="lab")
def lab_fixture(site: Site) -> Site:
    """A builder with defaults runs."""
    site.step(InstallPod).apply()
    return site


def _told(step: Operate) -> dict[str, Finding]:
    return {f.subject: f for f in step.apply()}


def _image(lab: Site) -> str:
    return str(lab.live("pod", "buildkitd")["spec"]["containers"][0]["image"])


def test_what_each_mode_can_do_is_found_by_a_run_step(lab: Site) -> None:
    step = lab.step(Operate, probe_run=True, probe_modes=["userns", "rootless"])
    assert step.check().passed
    plan = step.plan()
    assert [c.action for c in plan.changes] == [Action.RUN] * 3
    told = _told(step)
    assert {f.status for f in told.values()} == {Status.OK}
    own = told[f"RUN in Pod {lab.namespace}/buildkitd"].message
    assert own == "RUN works, as uid=0(root) gid=0(root), which is root of the node itself"
    assert "which is user 1000 of the node" in told["mode rootless"].message
    user = int(told["mode userns"].message.split("which is user ")[1].split()[0])
    assert user >= 65536
    assert lab.names("pods") == ["pod/buildkitd"]
    assert [n for n in lab.names("configmaps") if "probe" in n] == []
    assert step.verify().passed
    assert step.plan().is_empty


def test_a_mode_that_the_namespace_forbids_is_an_answer(lab: Site) -> None:
    step = lab.step(Operate, probe_modes=["userns"])
    lab.kubectl("label", "namespace", lab.namespace, f"{_ENFORCE}=baseline")
    try:
        told = _told(step)["mode userns"]
    finally:
        lab.kubectl("label", "namespace", lab.namespace, f"{_ENFORCE}-")
    assert told.status is Status.WARN
    assert "PodSecurity" in told.message
    assert told.remedy
    assert [n for n in lab.names("pods,configmaps") if "probe" in n] == []


def test_a_cancelled_probe_leaves_nothing_and_clean_up_knows_its_names(lab: Site) -> None:
    step = lab.step(Operate, probe_modes=["userns"])
    seen: list[list[str]] = []

    def cancel(event: Event) -> None:
        if event.message.startswith("buildkitd-probe-userns: container"):
            seen.append([c.subject.split("/")[1] for c in lab.step(CleanUp).plan().changes])
            step.cancelled.set()

    step._sink = cancel
    with pytest.raises(StepCancelledError):
        step.apply()
    assert {"buildkitd-probe-userns", "buildkitd-probe-userns-config"} < set(seen[0])
    assert [n for n in lab.names("pods,configmaps") if "probe" in n] == []


def test_a_run_step_that_fails_is_told_with_its_cause(lab: Site) -> None:
    step = lab.step(Operate, probe_run=True, probe_image=f"{lab.sandbox['registry']}/no/such:image")
    with pytest.raises(BuildFailedError, match=r"cannot be built.*no/such:image") as caught:
        step.apply()
    assert "probe_image" in caught.value.remedy


def test_an_image_that_cannot_be_pulled_is_rolled_back(lab: Site) -> None:
    step = lab.step(Operate, upgrade_to="no-such-tag")
    with pytest.raises(UpgradeFailedError, match="does not exist") as caught:
        step.apply()
    assert "docker.io/moby/buildkit:no-such-tag (privileged)" in caught.value.what
    assert f"rolled back to {DEFAULT_IMAGE} (privileged), which is Ready" in caught.value.what
    assert "upgrade_to names it: no-such-tag" in caught.value.remedy
    assert _image(lab) == DEFAULT_IMAGE
    assert "RUN works" in str(lab.step(Operate, probe_run=True).apply())
    verify = step.verify()
    assert [f.subject for f in verify if f.status is Status.FAIL] == ["image"]


def test_another_version_is_taken_in_place(lab: Site) -> None:
    before = lab.live("pod", "buildkitd")
    step = lab.step(Operate, upgrade_to="master")
    plan = step.plan()
    changed = [c for c in plan.changes if c.action is not Action.NONE]
    assert [c.action for c in changed] == [Action.UPDATE]
    assert f"image: {_MASTER}" in changed[0].diff
    assert "!lost by this: the builder's cache" in changed[0].diff  # a privileged Pod has no volume for it
    assert "Ready, buildkitd v" in str(step.apply())
    after = lab.live("pod", "buildkitd")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    ids = [p["status"]["containerStatuses"][0]["containerID"] for p in (before, after)]
    assert ids[0] != ids[1]
    assert step.verify().passed
    assert step.plan().is_empty


def test_a_mode_is_moved_to_with_allow_replace_alone(lab: Site) -> None:
    staying = lab.step(Operate, mode="userns")
    assert staying.plan().is_empty
    mode = next(f for f in staying.check() if f.subject == "mode")
    assert "set allow_replace" in mode.message
    step = lab.step(Operate, mode="rootless", allow_replace=True, upgrade_to="v0.34.2")
    change = step.plan().changes[-1]
    assert change.action is Action.REPLACE
    assert "!lost by this: the builder's cache" in change.diff
    assert step.apply().passed
    assert _image(lab) == f"{DEFAULT_IMAGE}-rootless"
    assert step.verify().passed
    assert step.plan().is_empty


def test_an_unready_builder_is_diagnosed_and_mended_by_an_image(lab: Site) -> None:
    broken = {"name": "broken"}
    with pytest.raises(Exception, match="does not exist"):
        lab.step(InstallPod, **broken, image="docker.io/moby/buildkit:no-such-tag").apply()
    failed = [f for f in lab.step(Operate, **broken).check() if f.status is Status.FAIL]
    assert "does not exist" in failed[0].message
    assert "no-such-tag" in failed[0].evidence
    assert "correct the parameter image" in failed[0].remedy
    mending = lab.step(Operate, **broken, upgrade_to="v0.34.2")
    assert mending.check().passed
    assert mending.plan().changes[-1].action is Action.UPDATE
    assert mending.apply().passed
    assert mending.verify().passed


def test_the_check_quotes_the_log_bounded_and_redacted(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    log = next(f for f in lab.step(Operate).check() if f.subject == "log")
    lines = log.evidence.splitlines()
    assert 1 <= len(lines) <= 28
    assert max(map(len, lines)) <= 240
    assert "running server" in log.evidence
    monkeypatch.setattr(redaction, "_known", {"running server"})
    again = next(f for f in lab.step(Operate).check() if f.subject == "log")
    assert "running server" not in again.evidence
    assert redaction.BLANK in again.evidence


@pytest.mark.parametrize(
    ("version", "live", "mode", "image"),
    [
        ("v1.0.0", "reg.example:5000/kit:v0.9", "privileged", "reg.example:5000/kit:v1.0.0"),
        ("v1.0.0", "moby/buildkit@sha256:" + "0" * 64, "privileged", "moby/buildkit:v1.0.0"),
        ("other/kit:1", "moby/buildkit:v0.9", "privileged", "other/kit:1"),
        ("", "moby/buildkit:v0.9-rootless", "userns", "moby/buildkit:v0.9"),
        ("", "moby/buildkit", "rootless", "moby/buildkit:latest"),
        ("", "moby/buildkit@sha256:" + "0" * 64, "userns", "moby/buildkit@sha256:" + "0" * 64),
    ],
)  # fmt: skip
def test_the_image_of_a_version(version: str, live: str, mode: str, image: str) -> None:
    was = "rootless" if live.endswith("-rootless") else "privileged"
    assert image_for(version, Live(live, was, has_volume=False), mode) == image  # type: ignore[arg-type]


def test_a_digest_stands_for_one_mode() -> None:
    with pytest.raises(InvalidParameterError, match="by its digest"):
        image_for("", Live("a/b@sha256:" + "0" * 64, "privileged", has_volume=False), "rootless")
