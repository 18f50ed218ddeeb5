"""Reading, server-side applying and deleting objects as plain JSON: one table, one request function."""

from __future__ import annotations

from collections.abc import Sequence

from runbook_lib.cluster.binding import FIELD_MANAGER, Cluster, Json
from runbook_lib.errors import NamespaceMissingError, ObjectMissingError

__all__ = ["PATHS", "Json", "apply", "delete", "list_all", "post", "read", "subject"]
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
}
_APPLY = "application/apply-patch+yaml"


def subject(cluster: Cluster, kind: str, name: str) -> str:
    """How messages name an object: `Pod team/buildkitd`."""
    return f"{kind} {cluster.namespace}/{name}" if "{namespace}" in PATHS[kind] else f"{kind} {name}"


def read(cluster: Cluster, kind: str, name: str) -> Json | None:
    """The live object, or None where there is none.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    try:
        return _request(cluster, "GET", kind, name)
    except ObjectMissingError:
        return None
    except NamespaceMissingError:
        if kind == "Namespace":
            return None
        raise


def list_all(cluster: Cluster, kind: str, labels: str = "", fields: str = "") -> list[Json]:
    """All objects of `kind` in the bound namespace that match the label and field selectors."""
    query = [(k, v) for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v]
    items: list[Json] = _request(cluster, "GET", kind, "", query).get("items") or []
    return items


def apply(cluster: Cluster, obj: Json, *, dry_run: bool = False) -> Json:
    """Server-side apply with the runbook's field manager; conflicts are never forced.

    Raises:
        FieldConflictError, ApplyRefusedError, ImmutableDriftError, PermissionMissingError, …
    """
    query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
    query += [("dryRun", "All")] if dry_run else []
    return _request(cluster, "PATCH", obj["kind"], obj["metadata"]["name"], query, obj, _APPLY)


def delete(cluster: Cluster, kind: str, name: str, uid: str = "", grace: int | None = None) -> bool:
    """Delete one object; False where there was none. `uid` guards against deleting a newer namesake.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    body: Json = {"propagationPolicy": "Background"}
    if uid:
        body["preconditions"] = {"uid": uid}
    if grace is not None:
        body["gracePeriodSeconds"] = grace
    try:
        _request(cluster, "DELETE", kind, name, (), body)
    except ObjectMissingError:
        return False
    return True


def post(cluster: Cluster, path: str, body: Json) -> Json:
    """POST a review object (SelfSubjectAccessReview and its like), which changes nothing."""
    return cluster.ask("POST", path, body=body, where=path.rpartition("/")[2])


def _request(
    cluster: Cluster,
    method: str,
    kind: str,
    name: str,
    query: Sequence[tuple[str, str]] = (),
    body: Json | None = None,
    content_type: str = "application/json",
) -> Json:
    path = PATHS[kind].format(namespace=cluster.namespace) + (f"/{name}" if name else "")
    return cluster.ask(method, path, query, body, content_type, where=subject(cluster, kind, name or "*"))
