"""The docker logins kept as a Secret in the cluster, for Pods that pull what was pushed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from runbook_lib import redaction
from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import FIELD_MANAGER, Cluster
from runbook_lib.cluster.labels import is_ours, labels
from runbook_lib.errors import NotOursError
from runbook_lib.plan import Action, Change

_TYPE = "kubernetes.io/dockerconfigjson"
_KEY = ".dockerconfigjson"


def plan_dockerconfig_secret(
    cluster: Cluster, name: str, config: Mapping[str, Any], instance: str = "buildkitd"
) -> Change:
    """What `apply_dockerconfig_secret` would do; the diff names hosts, never what is behind them.

    Raises:
        NotOursError: a Secret of this name exists that the runbook did not make.
    """
    wanted = _secret(cluster, name, config, instance)
    live = objects.read(cluster, "Secret", name)
    where = objects.subject(cluster, "Secret", name)
    if live is None:
        action, before = Action.CREATE, set()
    else:
        _require_ours(live, where)
        action = Action.NONE if _same(live, wanted) else Action.UPDATE
        before = _hosts(live)
    after = set(config.get("auths") or {})
    diff = [f"-login for {h}" for h in sorted(before - after)]
    diff += [f"+login for {h}" for h in sorted(after - before)]
    if action is Action.UPDATE and not diff:
        diff = ["~ a login or a label differs (values are not shown)"]
    command = (
        f"{cluster.kubectl_words} create secret generic {name}"
        f' --type={_TYPE} --from-file={_KEY}="$DOCKER_CONFIG/config.json" --dry-run=client --output=yaml'
        f" | {cluster.kubectl_words} apply --server-side --field-manager={FIELD_MANAGER} -f -"
    )
    return Change(action, where, "\n".join(diff), (command,))


def apply_dockerconfig_secret(
    cluster: Cluster, name: str, config: Mapping[str, Any], instance: str = "buildkitd"
) -> Action:
    """Write `config` (the shape of docker's config.json) as a Secret; nothing is written when it is so.

    Raises:
        NotOursError: a Secret of this name exists that the runbook did not make.
        ClusterError: the API server refused or did not answer.
    """
    wanted = _secret(cluster, name, config, instance)
    live = objects.read(cluster, "Secret", name)
    if live is not None:
        _require_ours(live, objects.subject(cluster, "Secret", name))
        if _same(live, wanted):
            return Action.NONE
    objects.apply(cluster, wanted)
    return Action.CREATE if live is None else Action.UPDATE


def _secret(cluster: Cluster, name: str, config: Mapping[str, Any], instance: str) -> objects.Json:
    encoded = base64.b64encode(json.dumps(config, sort_keys=True).encode()).decode()
    redaction.learn(encoded)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": labels(instance)},
        "type": _TYPE,
        "data": {_KEY: encoded},
    }


def _same(live: objects.Json, wanted: objects.Json) -> bool:
    have = live["metadata"].get("labels") or {}
    return (
        live.get("type") == _TYPE
        and live.get("data") == wanted["data"]
        and all(have.get(k) == v for k, v in wanted["metadata"]["labels"].items())
    )


def _hosts(live: objects.Json) -> set[str]:
    try:
        return set(json.loads(base64.b64decode((live.get("data") or {})[_KEY]))["auths"])
    except (ValueError, KeyError, TypeError):
        return set()


def _require_ours(live: objects.Json, where: str) -> None:
    if not is_ours(live):
        raise NotOursError(
            "a Secret of this name exists and was not made by the runbook",
            where=where,
            remedy="choose another name in the parameter push_secret",
        )
