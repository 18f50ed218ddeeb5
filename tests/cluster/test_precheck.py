"""What is said about preconditions, without a cluster."""

from __future__ import annotations

from typing import Any, cast

import pytest
import yaml

from runbook_lib.cluster import api_refusals, precheck
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.permissions import needed
from runbook_lib.findings import Status
from runbook_lib.settings import Settings
from runbook_lib.steps.contract import REPOSITORY_ROOT


@pytest.mark.parametrize(
    ("step", "role", "more"),
    [
        ("install_pod", "runbook", {}),
        ("test_push", "build", {}),
        ("test_push", "runbook", {"run_image": True}),
        ("operate", "look", {"look_only": True}),
    ],
)
def test_the_remedy_for_a_missing_permission_serves_a_person_too(
    monkeypatch: pytest.MonkeyPatch, step: str, role: str, more: dict[str, Any]
) -> None:
    """The file alone would not help: it binds a ServiceAccount, and a kubeconfig is mostly a person's."""
    monkeypatch.setattr(precheck, "missing", lambda _cluster, step, settings: needed(settings, step)[:1])
    [found] = precheck.permissions(cast(Cluster, None), Settings(namespace="team-a", **more), step)
    assert found.status is Status.FAIL
    assert f"kubectl --namespace=team-a apply -f manifests/role.{role}.yaml" in found.remedy
    binding = (
        f"kubectl --namespace=team-a create rolebinding buildkit-{role}-me --role=buildkit-{role} --user="
    )
    assert binding in found.remedy
    assert "kubectl auth whoami" in found.remedy
    documents = yaml.safe_load_all((REPOSITORY_ROOT / "manifests" / f"role.{role}.yaml").read_text())
    names = {d["kind"]: d["metadata"]["name"] for d in documents}
    assert names["Role"] == f"buildkit-{role}"


def test_the_remedy_of_a_refusal_does_the_same() -> None:
    assert "rolebinding" in api_refusals._ROLE_REMEDY
    assert "--user=" in api_refusals._ROLE_REMEDY
