"""What the plan of the Secret with the logins prints for a person to type."""

from __future__ import annotations

from typing import cast

import pytest
from kubernetes import client

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.configuration import IN_CLUSTER
from runbook_lib.cluster.secrets import plan_dockerconfig_secret


@pytest.mark.parametrize(
    ("context", "kubeconfig", "words"),
    [
        (IN_CLUSTER, "", "kubectl --namespace=ns"),
        ("user@host; true", "/kubeconfig", "kubectl --context='user@host; true' --namespace=ns"),
    ],
)
def test_both_commands_reach_the_bound_cluster(
    monkeypatch: pytest.MonkeyPatch, context: str, kubeconfig: str, words: str
) -> None:
    monkeypatch.setattr(objects, "read", lambda *_: None)
    none = cast(client.ApiClient, None), cast(client.CoreV1Api, None)
    cluster = Cluster(context, "ns", "https://server", kubeconfig, 5.0, *none)
    [command] = plan_dockerconfig_secret(cluster, "logins", {"auths": {}}).commands
    create, apply = command.split(" | ")
    assert create.startswith(f"{words} create secret generic logins ")
    assert apply.startswith(f"{words} apply ")
