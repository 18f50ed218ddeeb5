"""Cleaning up: exactly what the runbook made goes, on the cluster and on this side, and the rest is named."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cluster_lab import Site

from runbook_lib.builder.store import Store
from runbook_lib.findings import Status
from runbook_lib.plan import Action
from runbook_lib.registry.safe_file import BACKUP_SUFFIX
from runbook_lib.steps.clean_up import CleanUp
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.fetch_buildctl import FetchBuildctl
from runbook_lib.steps.install_pod import InstallPod

THEIRS = ["configmap/theirs", "deployment.apps/theirs", "pod/buildkitd-two", "secret/theirs"]


def _foreign_objects(site: Site) -> None:
    """Neighbours: other names, and names so near ours that a prefix would take them."""
    busybox = {"name": "app", "image": "docker.io/library/busybox:latest", "command": ["sleep", "600"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "buildkitd-two"},
        "spec": {"containers": [busybox]},
    }
    site.apply(pod)
    site.kubectl("create", "configmap", "theirs", "--from-literal=a=b")
    site.kubectl("create", "secret", "generic", "theirs", "--from-literal=a=b")
    site.kubectl("create", "deployment", "theirs", "--image=docker.io/library/busybox:latest", "--replicas=0")


def _all(site: Site) -> list[str]:
    return [
        n for n in site.names("pods,deployments,secrets,configmaps") if not n.endswith("kube-root-ca.crt")
    ]


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    return Path(site.sandbox["registry_credential"].removeprefix("file:")).read_text().strip()


def _config(site: Site) -> Path:
    return site.folder / "docker_config" / "config.json"


def _holds(path: Path, token: str, username: str) -> bool:
    text = path.read_text()
    return token in text or base64.b64encode(f"{username}:{token}".encode()).decode() in text


def test_exactly_ours_is_removed_and_the_second_time_there_is_nothing(site: Site) -> None:
    _foreign_objects(site)
    site.step(InstallPod).apply()
    site.step(InstallPod, name="second", kind="deployment").apply()
    site.step(ConfigureAuth, push_secret="logins").apply()
    assert {"pod/buildkitd", "configmap/buildkitd-config", "secret/logins"} < set(_all(site))

    step = site.step(CleanUp, push_secret="logins")
    check = step.check()
    assert check.passed
    assert str(check).count("the runbook made it: it goes") == 3
    assert "pushed images: they stay" in str(check)
    assert [c.action for c in step.plan().changes] == [Action.DELETE] * 3
    assert not step.verify().passed
    written = site.written(step.apply)
    assert [w.split()[0] for w in written] == ["delete"] * 3
    assert step.verify().passed

    # The other builder is another run's: named, it goes as well, with its Pods.
    other = site.step(CleanUp, kind="deployment", name="second")
    other.apply()
    assert other.verify().passed
    assert sorted(_all(site)) == THEIRS

    assert step.plan().is_empty
    again: list[object] = []
    assert site.written(lambda: again.append(step.apply())) == []
    assert "nothing to remove" in str(again[0])
    assert step.verify().passed


def test_an_object_of_our_name_that_somebody_else_made_stays_and_is_named(site: Site) -> None:
    site.kubectl("create", "configmap", "mixed-config", "--from-literal=a=b")
    site.kubectl("create", "secret", "generic", "mixed", "--from-literal=a=b")
    step = site.step(CleanUp, name="mixed", push_secret="mixed")
    check = [f for f in step.check() if "somebody else" in f.message]
    assert [f.subject.split()[0] for f in check] == ["ConfigMap", "Secret"]
    assert all(f.status is Status.SKIP for f in check)
    assert step.plan().is_empty
    assert str(step.apply()).count("somebody else made it: it stays") == 2
    assert step.verify().passed
    assert {"configmap/mixed-config", "secret/mixed"} < set(_all(site))


def test_logins_stay_unless_asked_for(site: Site, token: str) -> None:
    site.step(ConfigureAuth).apply()
    step = site.step(CleanUp)
    assert "logins stay (remove_login takes them)" in str(step.check())
    step.apply()
    assert _holds(_config(site), token, site.sandbox["registry_username"])


def test_removed_logins_live_on_nowhere(site: Site, token: str) -> None:
    """Also not in the backup, which holds what was in the file before the last change."""
    path, username = _config(site), site.sandbox["registry_username"]
    document = {"auths": {"other.example": {"auth": "b3RoZXI6bG9naW4="}}, "HttpHeaders": {"X": "1"}}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    site.step(ConfigureAuth).apply()
    more = {"registry": "second.example", "username": "u", "credential": site.sandbox["registry_credential"]}
    site.step(ConfigureAuth, more_registries=[more]).apply()
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    assert _holds(backup, token, username)

    step = site.step(CleanUp, remove_login=True)
    plan = str(step.plan())
    assert str(backup) in plan
    assert token not in plan
    assert not step.verify().passed
    said = str(step.apply())
    assert "second.example" in said
    assert step.verify().passed
    assert json.loads(path.read_text()) == document
    assert not backup.exists()
    for left in path.parent.iterdir():
        assert not _holds(left, token, username), left
    assert step.plan().is_empty
    assert "nothing to remove" in str(step.apply())


def test_a_killed_removal_leaves_no_backup_for_the_next(site: Site, token: str) -> None:
    backup = _config(site).with_name(_config(site).name + BACKUP_SUFFIX)
    backup.parent.mkdir(exist_ok=True)
    backup.write_text(f'{{"auths": {{"x": {{"password": "{token}"}}}}}}')
    step = site.step(CleanUp, remove_login=True)
    assert not step.verify().passed
    step.apply()
    assert not backup.exists()
    assert step.verify().passed


def test_only_recorded_programs_are_removed(site: Site) -> None:
    site.step(InstallPod).apply()
    fetch = site.step(FetchBuildctl)
    fetch.apply()
    store = Store(fetch.settings)
    fetched = [Path(record.path) for record in store.fetched()]
    assert [p.name for p in fetched if p.is_file()]
    mine = Path(fetch.settings.bin_dir) / "my-own-buildctl"
    mine.write_text("#!/bin/sh\n")

    kept = site.step(CleanUp)
    assert "fetched programs stay (remove_binaries takes them)" in str(kept.check())
    kept.apply()
    assert all(p.is_file() for p in fetched)

    step = site.step(CleanUp, remove_binaries=True)
    assert len(step.plan().changes) == len(fetched)
    step.apply()
    assert step.verify().passed
    assert not any(p.exists() for p in fetched)
    assert mine.is_file()
    assert Path(site.sandbox["kubectl"]).is_file()
    assert step.plan().is_empty


def test_a_namespace_that_the_runbook_made_is_left_and_named(site: Site) -> None:
    name = f"{site.namespace}-made"
    try:
        making = site.step(InstallPod, namespace=name, create_namespace=True)
        assert "Namespace" in str(making.apply())
        assert making.verify().passed
        assert making.plan().is_empty
        step = site.step(CleanUp, namespace=name)
        said = str(step.check())
        assert f"Namespace {name}: the runbook made it, and it stays" in said
        assert f"kubectl delete namespace {name}" in said
        step.apply()
        assert step.verify().passed
        assert site.live("namespace", name)["status"]["phase"] == "Active"
    finally:
        site.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
    assert not [f for f in site.step(CleanUp).check() if f.subject.startswith("Namespace")]
