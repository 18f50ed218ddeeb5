"""What the runbook must be allowed to do: one table, from which checks are made and the Role is tested."""

from __future__ import annotations

from dataclasses import dataclass

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.errors import ClusterError
from runbook_lib.settings import Settings

_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Permission:
    """One verb on one resource; `when` says which settings need it (see `needed`)."""

    verb: str
    group: str
    resource: str
    subresource: str
    steps: frozenset[str]
    when: str
    why: str

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {resource}" + (f".{self.group}" if self.group else "")


def _rows(verbs: str, group: str, resource: str, steps: str, when: str, why: str) -> tuple[Permission, ...]:
    name, _, sub = resource.partition("/")
    return tuple(Permission(v, group, name, sub, frozenset(steps.split()), when, why) for v in verbs.split())


PERMISSIONS: tuple[Permission, ...] = (
    *_rows("get", "", "namespaces", "install_pod", "always", "see that the namespace exists, and its labels"),
    *_rows("get list watch", "", "pods", "install_pod", "always", "follow the builder until it is Ready"),
    *_rows("get list", "", "pods", "fetch_buildctl test_push operate clean_up", "always", "find the builder"),
    *_rows("create patch", "", "pods", "install_pod", "pod", "make the builder Pod"),
    *_rows("delete", "", "pods", "install_pod", "replace", "replace a builder Pod"),
    *_rows("delete", "", "pods", "clean_up", "pod", "remove the builder Pod"),
    *_rows("create get", "", "pods/exec", "install_pod fetch_buildctl test_push", "always",
           "talk to buildkitd (create: servers from 1.35 on; get: older ones)"),
    *_rows("create get", "", "pods/exec", "operate", "ask", "ask buildkitd for its workers and its cache"),
    *_rows("get", "apps", "deployments", "operate", "deployment", "read the builder's Deployment"),
    *_rows("get", "", "pods/log", "install_pod operate", "always", "quote the builder's last words"),
    *_rows("list watch", "", "events", "install_pod", "always", "say why a builder is not Ready"),
    *_rows("list", "", "events", "operate", "always", "say why a builder is not Ready"),
    *_rows("watch", "", "events", "operate", "change", "bring the builder to another state"),
    *_rows("watch create patch", "", "pods", "operate", "change", "bring the builder to another state"),
    *_rows("delete", "", "pods", "operate", "change", "replace a builder Pod, remove a temporary one"),
    *_rows("get create patch delete", "", "configmaps", "operate", "change", "configure that builder"),
    *_rows("get create patch", "apps", "deployments", "operate", "change-deployment", "change it"),
    *_rows("create patch delete", "", "pods", "test_push", "run", "run the pushed image"),
    *_rows("get", "", "pods/log", "test_push", "run", "read what the pushed image prints"),
    *_rows("get create patch delete", "", "secrets", "test_push", "run", "pull the pushed image"),
    *_rows("get create patch", "apps", "deployments", "install_pod", "deployment", "make the Deployment"),
    *_rows("get delete", "apps", "deployments", "clean_up", "deployment", "remove the Deployment"),
    *_rows("get create patch", "", "configmaps", "install_pod", "config", "keep buildkitd.toml and the CA"),
    *_rows("get delete", "", "configmaps", "clean_up", "always", "remove the builder's configuration"),
    *_rows("get create patch", "", "secrets", "configure_auth", "secret", "keep the logins in the cluster"),
    *_rows("get delete", "", "secrets", "clean_up", "secret", "remove the logins from the cluster"),
)  # fmt: skip

# Not in the Role: making a namespace is an administrator's permission (server-side apply needs both).
NAMESPACE_PERMISSIONS = _rows("create patch", "", "namespaces", "install_pod", "always", "make the namespace")


def needed(settings: Settings, step: str) -> list[Permission]:
    """The rows that `step` needs with these settings, each verb once."""
    has_config = bool(settings.mirrors or settings.registry_ca or any(r.ca for r in settings.more_registries))
    changes = bool(settings.upgrade_to or settings.probe_modes or settings.allow_replace)
    holds = {
        "always": True,
        "pod": settings.kind == "pod",
        "deployment": settings.kind == "deployment",
        "replace": settings.kind == "pod" and settings.allow_replace,
        "change": changes,
        "change-deployment": changes and settings.kind == "deployment",
        "config": has_config,
        "ask": not settings.look_only,
        "secret": bool(settings.push_secret),
        "run": settings.run_image,
    }
    rows = [p for p in PERMISSIONS if step in p.steps and holds[p.when]]
    return list({str(p): p for p in rows}.values())


def missing(cluster: Cluster, step: str, settings: Settings) -> list[Permission]:
    """Ask the API server about each needed verb (SelfSubjectAccessReview); returns those refused.

    Raises:
        ClusterError: the API server refused the review itself or did not answer.
    """
    return [p for p in needed(settings, step) if not is_allowed(cluster, p)]


def is_allowed(cluster: Cluster, permission: Permission) -> bool:
    """Ask the API server about one verb (SelfSubjectAccessReview)."""
    attributes = {
        "namespace": cluster.namespace,
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "subresource": permission.subresource,
    }
    if permission.resource == "namespaces":
        attributes["name"] = cluster.namespace
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status = objects.post(cluster, _REVIEW, body).get("status")
    if not isinstance(status, dict) or "allowed" not in status:
        raise ClusterError("the access review has no answer", where=str(permission), remedy="try again")
    return status["allowed"] is True


def role_of(settings: Settings, step: str) -> str:
    """The smallest Role of manifests/ that allows `step` with these settings: runbook, build or look."""
    texts = {str(p) for p in needed(settings, step)}
    return next((r for r in ("look", "build") if texts <= {str(p) for p in rows_of(r)}), "runbook")


def rows_of(role: str) -> tuple[Permission, ...]:
    """The rows that a Role of manifests/ allows.

    `look` sees the builder and may run nothing in it. `build` finds it and may exec into it, which is all
    that buildctl needs; it is also all that it takes to do anything in the Pod (docs/security.md).
    """
    if role == "look":
        return tuple(p for p in PERMISSIONS if "operate" in p.steps and p.when in ("always", "deployment"))
    if role == "build":
        return tuple(
            p for p in PERMISSIONS if p.steps & {"fetch_buildctl", "test_push"} and p.when == "always"
        )
    return PERMISSIONS


def role_rules(role: str = "runbook") -> list[objects.Json]:
    """The rules of a Role of manifests/: one rule a resource."""
    verbs: dict[tuple[str, str], dict[str, None]] = {}
    for p in rows_of(role):
        resource = f"{p.resource}/{p.subresource}" if p.subresource else p.resource
        verbs.setdefault((p.group, resource), {})[p.verb] = None
    order = ["get", "list", "watch", "create", "patch", "delete"]
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(v, key=order.index)}
        for (group, resource), v in verbs.items()
    ]
