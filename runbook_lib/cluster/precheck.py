"""Preconditions of the builder, each read from the cluster and told as a finding."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubernetes.utils.quantity import parse_quantity

from runbook_lib.cluster import objects
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.diagnosis import is_virtual
from runbook_lib.cluster.permissions import NAMESPACE_PERMISSIONS, is_allowed, missing, needed, role_of
from runbook_lib.errors import ClusterError, PermissionMissingError, RunbookError
from runbook_lib.findings import Finding, Status
from runbook_lib.settings import Settings

_ENFORCE = "pod-security.kubernetes.io/enforce"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_USERNS_SINCE = (1, 33)  # Kubernetes: user namespaces on by default


def target(cluster: Cluster) -> Finding:
    """The bound context and whether its server answers."""
    return Finding(Status.OK, "target", f"context {cluster.context}, {cluster.version()}, {cluster.server}")


def namespace(cluster: Cluster, settings: Settings) -> list[Finding]:
    """Whether the namespace exists, and what its Pod Security label says to the mode."""
    live = objects.read(cluster, "Namespace", settings.namespace)
    subject = f"namespace {settings.namespace}"
    if live is None and settings.create_namespace:
        return [_may_create(cluster, subject)]
    if live is None:
        remedy = "set create_namespace, or name one that exists"
        return [Finding(Status.FAIL, subject, "it does not exist", "", remedy, INSTALL)]
    if live["metadata"].get("deletionTimestamp"):
        return [Finding(Status.FAIL, subject, "it is being deleted", "", "wait, or use another", INSTALL)]
    return [Finding(Status.OK, subject, "it exists"), _pod_security(live, settings)]


def _may_create(cluster: Cluster, subject: str) -> Finding:
    lacking = [p for p in NAMESPACE_PERMISSIONS if not is_allowed(cluster, p)]
    if not lacking:
        return Finding(Status.OK, subject, "it does not exist; apply makes it")
    message = (
        f"it does not exist, and this identity may not make it (missing: {', '.join(map(str, lacking))})"
    )
    remedy = f"have an administrator run: kubectl create namespace {cluster.namespace}"
    return Finding(Status.FAIL, subject, message, "SelfSubjectAccessReview", remedy, INSTALL)


def _pod_security(live: objects.Json, settings: Settings) -> Finding:
    level = (live["metadata"].get("labels") or {}).get(_ENFORCE, "")
    if level in ("", "privileged"):
        shown = level or "none"
        return Finding(Status.OK, "Pod Security", f"nothing in the way (label: {shown})")
    return Finding(
        Status.FAIL,
        "Pod Security",
        f"the namespace enforces {level!r}, which forbids a builder of mode {settings.mode}",
        f"{_ENFORCE}={level}",
        f"use another namespace, or: kubectl label namespace {settings.namespace} {_ENFORCE}=privileged "
        "--overwrite",
        INSTALL,
    )


def permissions(cluster: Cluster, settings: Settings, step: str) -> list[Finding]:
    """One finding for all that is allowed, or one for each missing verb."""
    lacking = missing(cluster, step, settings)
    if not lacking:
        count = len(needed(settings, step))
        return [Finding(Status.OK, "permissions", f"all {count} that this step needs are granted")]
    role, name = role_of(settings, step), settings.namespace
    remedy = (
        f"have an administrator run: kubectl --namespace={name} apply -f manifests/role.{role}.yaml; it "
        f"binds a ServiceAccount, so for a person also: kubectl --namespace={name} create rolebinding "
        f"buildkit-{role}-me --role=buildkit-{role} --user='<your user>' (its name: kubectl auth whoami)"
    )
    return [
        Finding(
            Status.FAIL,
            "permissions",
            f"missing: {p} (to {p.why})",
            f"SelfSubjectAccessReview in namespace {settings.namespace}",
            remedy,
            INSTALL,
        )
        for p in lacking
    ]


def nodes(cluster: Cluster, settings: Settings) -> list[Finding]:
    """Runtime and architecture of the nodes that could take the builder; they may be unreadable."""
    labels = ",".join(f"{k}={v}" for k, v in settings.node_selector.items())
    try:
        found = objects.list_all(cluster, "Node", labels)
    except PermissionMissingError:
        return [Finding(Status.SKIP, "nodes", "not readable with this identity; they are not checked")]
    if not found:
        remedy = "correct node_selector (kubectl get nodes --show-labels)" if labels else "add a node"
        return [Finding(Status.FAIL, "nodes", "no node fits", labels or "no nodes", remedy, INSTALL)]
    usable = [n for n in found if not is_virtual(n)]
    if not usable:
        message = "only virtual nodes fit; they know no privileged containers, exec or port-forward"
        return [Finding(Status.FAIL, "nodes", message, "", "add a managed node pool", INSTALL)]
    kinds = sorted({_node_line(n) for n in usable})
    findings = [Finding(Status.OK, "nodes", f"{len(usable)} could take the builder", "; ".join(kinds))]
    if len(usable) < len(found):
        message = f"{len(found) - len(usable)} virtual nodes could be chosen, too"
        findings.append(Finding(Status.WARN, "nodes", message, "", "set node_selector to managed nodes"))
    if any("cri-o" in k for k in kinds) and _is_short(settings.image):
        message = "CRI-O nodes may refuse the short image name"
        findings.append(Finding(Status.WARN, "image", message, settings.image, "write docker.io/…", INSTALL))
    if too_much := _too_much(usable, settings):
        findings.append(too_much)
    if settings.mode == "userns":
        findings.append(_user_namespaces(usable))
    return findings


def _is_short(image: str) -> bool:
    """True when the image names no registry: its first part is no host (moby/buildkit, busybox)."""
    first, slash, _ = image.partition("/")
    return bool(image) and not (slash and ("." in first or ":" in first or first == "localhost"))


def _too_much(usable: list[objects.Json], settings: Settings) -> Finding | None:
    """A finding when no node, were it empty, could hold the builder. A limit alone is a request as well."""
    wanted = {k: parse_quantity(v) for k, v in {**settings.limits, **settings.requests}.items()}
    room = [n["status"].get("allocatable") or {} for n in usable]
    if any(all(parse_quantity(node.get(k, 0)) >= v for k, v in wanted.items()) for node in room):
        return None
    asked = ", ".join(f"{k}={v}" for k, v in {**settings.limits, **settings.requests}.items())
    most = "; ".join(sorted({", ".join(f"{k}={node.get(k, 0)}" for k in wanted) for node in room}))
    message = f"the builder asks for more than any node has ({asked})"
    return Finding(Status.FAIL, "nodes", message, f"allocatable: {most}", "lower requests", INSTALL)


def _node_line(node: objects.Json) -> str:
    info = node["status"]["nodeInfo"]
    return f"{info['containerRuntimeVersion']}, {info['architecture']}, kernel {info['kernelVersion']}"


def _user_namespaces(found: list[objects.Json]) -> Finding:
    kubelets = {n["status"]["nodeInfo"]["kubeletVersion"] for n in found}
    old = sorted(v for v in kubelets if _number(v) < _USERNS_SINCE)
    handlers = [h for n in found for h in n["status"].get("runtimeHandlers") or []]
    if handlers and not any((h.get("features") or {}).get("userNamespaces") for h in handlers):
        evidence = "status.runtimeHandlers: userNamespaces is false"
        remedy = "use mode privileged or rootless, or newer nodes"
        return Finding(Status.FAIL, "user namespaces", "the runtime lacks them", evidence, remedy, INSTALL)
    if old:
        evidence = f"kubelet {', '.join(old)}; on by default since 1.33"
        message = "they may be off: then the builder comes up plainly privileged, and apply or verify fails"
        remedy = "use mode privileged or rootless, or a cluster with Kubernetes 1.33 or newer"
        return Finding(Status.WARN, "user namespaces", message, evidence, remedy, INSTALL)
    return Finding(Status.OK, "user namespaces", "the nodes offer them")


def _number(version: str) -> tuple[int, int]:
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def tried(work: Callable[[], list[Finding]], subject: str) -> list[Finding]:
    """The findings of `work`; a typed error becomes one, so that the other checks go on."""
    try:
        return work()
    except ClusterError as e:
        return [Finding.of_error(e, subject)]
    except RunbookError as e:
        return [Finding.of_error(e)]
