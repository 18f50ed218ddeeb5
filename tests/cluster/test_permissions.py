"""The least rights: each Role of manifests/ is the table, is enough, has no verb that nothing uses, and the
checks name each verb that is taken away.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from audit_log import used_by
from cluster_lab import Site, as_account

from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.manifest import MANIFESTS, render
from runbook_lib.cluster.permissions import PERMISSIONS, Permission, missing, role_of, role_rules, rows_of
from runbook_lib.errors import PermissionMissingError, SourceError
from runbook_lib.findings import Status
from runbook_lib.settings import Settings
from runbook_lib.steps.clean_up import CleanUp
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.contract import Step
from runbook_lib.steps.fetch_buildctl import FetchBuildctl
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.steps.operate import Operate
from runbook_lib.steps.test_push import TestPush

ROLES = {"runbook": {}, "build": {}, "look": {"look_only": True}}
ALL_RIGHTS = {
    "push_secret": "logins",
    "run_image": True,
    "allow_replace": True,
    "probe_modes": ["userns"],
}


def _flat(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (g, r, v)
        for rule in rules
        for g in rule["apiGroups"]
        for r in rule["resources"]
        for v in rule["verbs"]
    }


def unused(site: Site, role: str) -> set[tuple[str, str, str]]:
    """What the Role of the manifest grants and nothing in this namespace has used."""
    granted = _flat(_documents(role)["Role"]["rules"])
    return granted - used_by(Path(site.sandbox["audit_log"]), site.namespace, role)


def _documents(role: str) -> dict[str, dict[str, Any]]:
    return {d["kind"]: d for d in yaml.safe_load_all((MANIFESTS / f"role.{role}.yaml").read_text())}


@pytest.fixture(scope="module")
def limited(site: Site) -> Site:
    """The site as the ServiceAccount of the manifest sees it: a kubeconfig with that account's token."""
    return as_account(site, "runbook")


@pytest.mark.parametrize("role", ROLES)
def test_the_role_in_the_manifest_is_the_table(role: str) -> None:
    documents = _documents(role)
    assert set(documents) == {"ServiceAccount", "Role", "RoleBinding"}
    assert _flat(documents["Role"]["rules"]) == _flat(role_rules(role))
    assert documents["RoleBinding"]["roleRef"]["name"] == documents["Role"]["metadata"]["name"]
    assert all(p.why for p in PERMISSIONS)
    assert {p.name for p in MANIFESTS.glob("role.*.yaml")} == {f"role.{name}.yaml" for name in ROLES}


def test_the_whole_runbook_runs_with_this_role_alone(limited: Site, site: Site) -> None:
    account = f"system:serviceaccount:{site.namespace}:buildkit-runbook"
    assert site.kubectl("auth", "can-i", "--list", f"--as={account}").count("nodes") == 0
    for kind in (InstallPod, ConfigureAuth, FetchBuildctl, TestPush, Operate, CleanUp):
        step: Step = limited.step(kind, **ALL_RIGHTS)
        found = [step.check()]
        step.plan()
        found += [step.apply(), step.verify()]
        assert all(f.passed for f in found), f"{kind.name}: " + "\n".join(map(str, found))
    assert site.names("pods,deployments") == []
    assert [n for n in site.names("secrets,configmaps") if "kube-root-ca" not in n] == []
    for kind in (InstallPod, CleanUp):
        step = limited.step(kind, kind="deployment", name="rolled")
        assert step.check().passed
        step.apply()
        assert step.verify().passed
    assert "deployment.apps/rolled" not in site.names("deployments")
    assert unused(site, "runbook") == set()


def test_who_builds_needs_no_right_to_install(site: Site) -> None:
    site.step(InstallPod, name="shared").apply()
    builder = as_account(site, "build")
    for kind in (ConfigureAuth, FetchBuildctl, TestPush):
        step: Step = builder.step(kind, name="shared", tags=["by-role"])
        found = [step.check()]
        step.plan()
        found += [step.apply(), step.verify()]
        assert all(f.passed for f in found), f"{kind.name}: " + "\n".join(map(str, found))
    refused = builder.step(InstallPod, name="another").check()
    assert {f.message for f in refused if f.status is Status.FAIL} >= {
        "missing: create pods (to make the builder Pod)"
    }
    site.step(InstallPod, name="shared-rolled", kind="deployment").apply()
    assert builder.step(FetchBuildctl, name="shared-rolled", kind="deployment").check().passed
    assert unused(site, "build") == set()


def test_who_looks_runs_nothing_in_the_pod(site: Site) -> None:
    site.step(InstallPod, name="shared").apply()
    looker = as_account(site, "look")
    step = looker.step(Operate, name="shared", look_only=True)
    found = step.check()
    assert found.passed, str(found)
    assert {f.subject: f.status for f in found}["buildkitd"] is Status.SKIP
    assert step.plan().is_empty
    assert step.apply().passed
    assert step.verify().passed
    with_exec = looker.step(Operate, name="shared").check()
    refused = [f for f in with_exec if "pods/exec" in f.message]
    assert refused, str(with_exec)
    assert not with_exec.passed
    fetching = looker.step(FetchBuildctl, name="shared", bin_dir=str(site.folder / "none"))
    assert "pods/exec" in str(fetching.check())
    with pytest.raises(SourceError, match="pods/exec"):
        fetching.apply()
    site.step(InstallPod, name="looked-at", kind="deployment").apply()
    assert looker.step(Operate, name="looked-at", kind="deployment", look_only=True).check().passed
    site.apply(*render(site.settings(name="stuck", node_selector={"there-is": "none"})))
    assert not looker.step(Operate, name="stuck", look_only=True).check().passed
    assert unused(site, "look") == set()


def test_the_remedy_names_the_smallest_role(site: Site) -> None:
    assert role_of(site.settings(), "test_push") == "build"
    assert role_of(site.settings(look_only=True), "operate") == "look"
    assert role_of(site.settings(), "operate") == "runbook"
    assert role_of(site.settings(), "install_pod") == "runbook"


def _settings_that_need(site: Site, p: Permission, role: str) -> Settings:
    """With `clean_up` first in the alphabet, each row is asked of the first step that has it."""
    more = ALL_RIGHTS if role == "runbook" else ROLES[role]
    return site.settings(kind="deployment" if p.when == "deployment" else "pod", **more)


def _step_of(p: Permission, role: str) -> str:
    steps = {"build": {"fetch_buildctl", "test_push"}, "look": {"operate"}}.get(role, p.steps)
    return min(p.steps & steps)


def _without(p: Permission, role: str = "runbook") -> list[dict[str, Any]]:
    resource = f"{p.resource}/{p.subresource}" if p.subresource else p.resource
    rules = role_rules(role)
    for rule in rules:
        if rule["apiGroups"] == [p.group] and rule["resources"] == [resource]:
            rule["verbs"] = [v for v in rule["verbs"] if v != p.verb]
    return [rule for rule in rules if rule["verbs"]]


@pytest.mark.parametrize(("role", "least"), [("runbook", 23), ("build", 4), ("look", 5)])
def test_each_verb_taken_away_is_named_by_the_check(site: Site, role: str, least: int) -> None:
    """The Role is changed in place; the API server's authoriser follows within moments, so it is polled."""
    administrator = Cluster.bind(site.settings())
    limited = as_account(site, role)
    clusters: dict[str, Cluster] = {}
    rows = {str(p): p for p in rows_of(role)}
    try:
        for text, p in rows.items():
            settings = _settings_that_need(limited, p, role)
            cluster = clusters.setdefault(settings.kind, Cluster.bind(settings))
            _set_rules(administrator, _without(p, role), role)
            named = _until_missing(cluster, _step_of(p, role), settings, text)
            assert named == [text]
    finally:
        _set_rules(administrator, role_rules(role), role)
    assert len(rows) >= least


def _set_rules(cluster: Cluster, rules: list[dict[str, Any]], role: str = "runbook") -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}/roles/buildkit-{role}"
    body = [{"op": "replace", "path": "/rules", "value": rules}]
    cluster.api.call_api(
        *cluster.api.param_serialize(
            "PATCH",
            path,
            header_params={"Content-Type": "application/json-patch+json"},
            body=body,
            auth_settings=["BearerToken"],
        )
    ).read()


def _until_missing(cluster: Cluster, step: str, settings: Settings, wanted: str) -> list[str]:
    deadline = time.monotonic() + 5
    named: list[str] = []
    while named != [wanted] and time.monotonic() < deadline:
        named = [str(p) for p in missing(cluster, step, settings)]
    return named


def test_the_finding_and_the_refusal_name_verb_and_remedy(limited: Site, site: Site) -> None:
    administrator = Cluster.bind(site.settings())
    create = next(p for p in PERMISSIONS if str(p) == "create pods")
    step = limited.step(InstallPod, name="refused")
    try:
        _set_rules(administrator, _without(create))
        assert _until_missing(step.cluster, "install_pod", step.settings, "create pods") == ["create pods"]
        failed = [f for f in step.check() if f.status is Status.FAIL]
        assert [f.message for f in failed] == ["missing: create pods (to make the builder Pod)"]
        assert "manifests/role.runbook.yaml" in failed[0].remedy
        with pytest.raises(PermissionMissingError, match="may not create pods in namespace") as caught:
            step.apply()
        assert "role.runbook.yaml" in caught.value.remedy
    finally:
        _set_rules(administrator, role_rules())


def test_making_a_namespace_is_an_administrators_right(limited: Site) -> None:
    step = limited.step(InstallPod, namespace=f"{limited.namespace}-more", create_namespace=True)
    said = str(step.check())
    assert "may not get namespaces" in said or "may not make it" in said
    with pytest.raises(PermissionMissingError, match="namespaces"):
        step.apply()
