"""Run a pushed image once as a Pod, read what it prints, and remove the Pod and its pull secret."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from runbook_lib.cluster import objects
from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import labels
from runbook_lib.cluster.secrets import apply_dockerconfig_secret
from runbook_lib.errors import ClusterError, ClusterWaitError
from runbook_lib.settings import Settings

_POLL = 0.5  # seconds
_MOST_OUTPUT = 64_000  # bytes of the Pod's log
_HOPELESS = ("ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError")


def run_name(settings: Settings) -> str:
    """Name of the Pod, and of its pull secret, with which a pushed image is tried out."""
    return f"{settings.name}-run"


def run_image(
    cluster: Cluster, image: str, pull_config: Mapping[str, Any], name: str, timeout: float = 120.0
) -> str:
    """What `image` (by digest) prints, run once as Pod `name` with the pull secret `name`.

    Both objects are removed before this returns, whatever happens; those of a killed run are replaced.

    Raises:
        ClusterError: the image cannot be pulled or started, or its program failed.
        ClusterWaitError: it has not ended in `timeout` seconds.
    """
    where = objects.subject(cluster, "Pod", name)
    objects.delete(cluster, "Pod", name, grace=0)
    _wait_gone(cluster, name, timeout)
    try:
        # An instance name of its own: these must not match the selector of the builder's Pods.
        apply_dockerconfig_secret(cluster, name, pull_config, name)
        objects.apply(cluster, _pod(cluster, image, name))
        phase = _wait_ended(cluster, name, where, timeout)
        with explained(cluster.server, where):
            output = cluster.core.read_namespaced_pod_log(
                name, cluster.namespace, limit_bytes=_MOST_OUTPUT, _request_timeout=cluster.request_timeout
            )
        if phase != "Succeeded":
            raise ClusterError(
                f"the image's program failed: {str(output)[-500:]}",
                where=where,
                remedy="check the image's command; it must end by itself with exit code 0",
            )
        return str(output)
    finally:
        objects.delete(cluster, "Pod", name, grace=0)
        objects.delete(cluster, "Secret", name)


def _wait_gone(cluster: Cluster, name: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while objects.read(cluster, "Pod", name) is not None:
        if time.monotonic() > deadline:
            raise ClusterWaitError(
                f"a Pod of an earlier run is not gone after {timeout:g} s",
                where=objects.subject(cluster, "Pod", name),
                remedy="delete it by hand",
            )
        time.sleep(_POLL)


def _wait_ended(cluster: Cluster, name: str, where: str, timeout: float) -> str:
    deadline = time.monotonic() + timeout
    while True:
        status = (objects.read(cluster, "Pod", name) or {}).get("status", {})
        phase = str(status.get("phase", "unknown"))
        if phase in ("Succeeded", "Failed"):
            return phase
        waiting = _waiting(status)
        if waiting.get("reason") in _HOPELESS:
            raise ClusterError(
                f"the image cannot be started: {waiting['reason']}: {waiting.get('message', '')}",
                where=where,
                remedy="the node pulls by itself: it needs the registry's CA and route, and the login",
            )
        if time.monotonic() > deadline:
            raise ClusterWaitError(
                f"the Pod has not ended after {timeout:g} s (phase {phase} {waiting.get('reason', '')})",
                where=where,
                remedy="look at the Pod's events; the node may have no room or no route to the registry",
            )
        time.sleep(_POLL)


def _waiting(status: Mapping[str, Any]) -> dict[str, Any]:
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return dict(waiting)
    return {}


def _pod(cluster: Cluster, image: str, name: str) -> objects.Json:
    container = {"name": "image", "image": image}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": labels(name)},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": name}],
            "containers": [container],
        },
    }
