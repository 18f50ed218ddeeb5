"""Run a pushed image once as a Pod, read what it prints, and remove the Pod and its pull secret."""

from __future__ import annotations

import math
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import INSTANCE, is_ours, labels
from runbook_lib.cluster.last_words import pod_log
from runbook_lib.cluster.secrets import apply_dockerconfig_secret
from runbook_lib.errors import ClusterError, ClusterWaitError, NotOursError, StepCancelledError
from runbook_lib.settings import Settings

_POLL = 0.5  # seconds
_MOST_OUTPUT = 64_000  # bytes of the Pod's log
_HOPELESS = ("ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError")
_KINDS = ("Pod", "Secret")
_OVERTIME = 30  # seconds after `timeout` in which the cluster ends a Pod that nobody waits for any longer
_ARCH = "kubernetes.io/arch"
_OF_NO_NODE = {"386", "arm"}  # nodes of 64 bits run these
_MARK = re.compile(r"run-[0-9a-f]{16}")  # the instance label of what one call makes


def run_name(settings: Settings) -> str:
    """Name of the Pod, and of its pull secret, with which a pushed image is tried out."""
    return f"{settings.name}-run"


def run_image(
    cluster: Cluster,
    settings: Settings,
    image: str,
    pull_config: Mapping[str, Any],
    cancel: threading.Event | None = None,
) -> str:
    """What `image` (by digest) prints, run once as a Pod with a pull secret, both called `run_name`.

    What this call makes is removed before it returns, whatever happens; what a killed run left is
    replaced, and nothing else is touched. Waiting ends after `ready_timeout`, or when `cancel` is set.

    Raises:
        NotOursError: a Pod or Secret of this name exists that no such run made; nothing is changed.
        ClusterError: the image cannot be pulled or started, or its program failed.
        ClusterWaitError: it has not ended in `ready_timeout` seconds.
        StepCancelledError: `cancel` was set.
    """
    cancel = cancel or threading.Event()
    name, timeout = run_name(settings), settings.ready_timeout
    where = objects.subject(cluster, "Pod", name)
    # Not the builder's instance: the two must not match its selector. And no two calls share theirs.
    mark = f"run-{secrets.token_hex(8)}"
    _make_way(cluster, name, timeout, cancel)
    with _removing(cluster, name, mark):
        apply_dockerconfig_secret(cluster, name, pull_config, mark)
        objects.apply(cluster, _pod(settings, image, mark))
        phase = _wait_ended(cluster, name, where, timeout, cancel)
        output = pod_log(cluster, where, name, limit_bytes=_MOST_OUTPUT)
        if phase != "Succeeded":
            raise ClusterError(
                f"the image's program failed: {output[-500:]}",
                where=where,
                remedy="check the image's command; it must end by itself with exit code 0",
            )
        return output


def _make_way(cluster: Cluster, name: str, timeout: float, cancel: threading.Event) -> None:
    """Remove what a killed run left under this name; both are looked at before either is touched."""
    left = [(kind, live) for kind in _KINDS if (live := objects.read(cluster, kind, name)) is not None]
    for kind, live in left:
        # The label alone does not tell: a builder, or a Secret of logins, may bear this name as well.
        if not is_ours(live) or not _MARK.fullmatch(_instance(live)):
            raise NotOursError(
                f"a {kind} of this name exists that no run of an image made",
                where=objects.subject(cluster, kind, name),
                remedy=f"give the builder another name, or remove it yourself: {cluster.kubectl_words} delete"
                f" {kind.lower()} {name}",
            )
    for kind, live in left:
        _delete(cluster, kind, live)
    _wait_gone(cluster, name, timeout, cancel)


@contextmanager
def _removing(cluster: Cluster, name: str, mark: str) -> Iterator[None]:
    """Remove at the end what bears `mark`: each of the two is tried; the first error is the one raised."""
    errors: list[BaseException] = []
    try:
        yield
    except BaseException as e:  # noqa: BLE001 - it is raised again below
        errors.append(e)
    for kind in _KINDS:
        try:
            # Asked anew: a request to make it may have been carried out although its answer was lost.
            live = objects.read(cluster, kind, name)
            if live is not None and _instance(live) == mark:
                _delete(cluster, kind, live)
        except BaseException as e:  # noqa: BLE001 - the other one must go as well; raised below
            errors.append(e)
    if errors:
        raise errors[0]


def _delete(cluster: Cluster, kind: str, live: objects.Json) -> None:
    uid = str(live["metadata"]["uid"])
    objects.delete(cluster, kind, live["metadata"]["name"], uid=uid, grace=0 if kind == "Pod" else None)


def _instance(live: objects.Json) -> str:
    return str((live["metadata"].get("labels") or {}).get(INSTANCE, ""))


def _pause(cancel: threading.Event, where: str) -> None:
    if cancel.wait(_POLL):
        raise StepCancelledError(
            "it was cancelled", where=where, remedy="run it again: what was done already is found and kept"
        )


def _wait_gone(cluster: Cluster, name: str, timeout: float, cancel: threading.Event) -> None:
    where = objects.subject(cluster, "Pod", name)
    deadline = time.monotonic() + timeout
    while objects.read(cluster, "Pod", name) is not None:
        if time.monotonic() > deadline:
            raise ClusterWaitError(
                f"a Pod of an earlier run is not gone after {timeout:g} s",
                where=where,
                remedy="delete it by hand",
            )
        _pause(cancel, where)


def _wait_ended(cluster: Cluster, name: str, where: str, timeout: float, cancel: threading.Event) -> str:
    deadline = time.monotonic() + timeout
    while True:
        live = objects.read(cluster, "Pod", name)
        if live is None or live["metadata"].get("deletionTimestamp"):
            raise ClusterError(
                "the Pod was removed while the image ran",
                where=where,
                remedy="run it again; if it goes away again, look at the namespace's events for an eviction",
            )
        status = live.get("status", {})
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
            why = ": ".join(str(waiting[k]) for k in ("reason", "message") if waiting.get(k))
            raise ClusterWaitError(
                f"the Pod has not ended after {timeout:g} s (phase {phase} {why})",
                where=where,
                remedy="look at the Pod's events; the node may have no room or no route to the registry",
            )
        _pause(cancel, where)


def _waiting(status: Mapping[str, Any]) -> dict[str, Any]:
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return dict(waiting)
    conditions = status.get("conditions") or []
    return next((dict(c) for c in conditions if c.get("reason") == "Unschedulable"), {})


def _pod(settings: Settings, image: str, mark: str) -> objects.Json:
    # Always: a node that has the image already would prove nothing about the login.
    container = {"name": "image", "image": image, "imagePullPolicy": "Always"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": run_name(settings), "namespace": settings.namespace, "labels": labels(mark)},
        "spec": {
            "restartPolicy": "Never",
            # For when this process is killed; else the wait here ends first, and says why.
            "activeDeadlineSeconds": math.ceil(settings.ready_timeout) + _OVERTIME,
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": run_name(settings)}],
            "containers": [container],
            **_place(settings),
        },
    }


def _place(settings: Settings) -> objects.Json:
    """Where it may run: on the builder's kind of nodes, of the architecture that the image is built for."""
    place: objects.Json = {"tolerations": [dict(t) for t in settings.tolerations]}
    selector = dict(settings.node_selector)
    built_for = {platform.split("/")[1] for platform in settings.platforms}
    if not built_for:  # for that of the builder's node, which not everybody may read: the scheduler knows it
        beside = {"labelSelector": {"matchLabels": labels(settings.name)}, "topologyKey": _ARCH}
        place["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [beside]}}
    elif len(built_for) == 1 and not built_for & _OF_NO_NODE:
        selector[_ARCH] = built_for.pop()
    return {k: v for k, v in (place | {"nodeSelector": selector}).items() if v}
