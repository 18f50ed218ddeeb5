"""What the API server refuses (403, 404, 409, 422), told by the words of its refusal.

The wording is taken from Kubernetes 1.37: `… is forbidden: User "u" cannot VERB resource …` (RBAC),
`violates PodSecurity "level:version"` (Pod Security admission), `exceeded quota: NAME` (quota admission),
`Apply failed with N conflict` (server-side apply).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from runbook_lib.errors import (
    ApplyRefusedError,
    ClusterError,
    FieldConflictError,
    ImmutableDriftError,
    NamespaceMissingError,
    ObjectMissingError,
    PermissionMissingError,
    PodNotReadyError,
)

INSTALL = "01_install_pod.ipynb"
_RBAC = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"'
    r' in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]+)"| at the cluster scope)?'
)
_CONFLICT = re.compile(r'conflicts? with "(?P<manager>[^"]+)"')
_NAMESPACE = re.compile(r'namespaces "(?P<name>[^"]+)" not found')
UNKNOWN_TO_KUBELET = re.compile(r'pod( "[^"]+")? does not exist')  # kubelet, pkg/kubelet/server/server.go
_ROLE_REMEDY = (
    "have an administrator apply manifests/role.runbook.yaml in this namespace (to build only:"
    " role.build.yaml); it binds a ServiceAccount, so a person is bound by: kubectl create rolebinding"
    " buildkit-runbook-me --role=buildkit-runbook --user='<your user>' (its name: kubectl auth whoami)"
)


def shortened(text: str, most: int = 600) -> str:
    """`text` on one line, with at most `most` characters of it."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most] + " …"


def _forbidden(message: str, where: str) -> ClusterError:
    found = _RBAC.search(message)
    if found:
        return PermissionMissingError(
            f'"{found["user"]}" may not {found["verb"]} {found["resource"]}'
            + (f' of API group "{found["group"]}"' if found["group"] else "")
            + (f" in namespace {found['namespace']}" if found["namespace"] else " at cluster scope"),
            where=where,
            remedy=_ROLE_REMEDY,
            notebook=INSTALL,
        )
    if "violates PodSecurity" in message:
        return ApplyRefusedError(
            f"Pod Security refuses the builder: {shortened(message)}",
            where=where,
            remedy="use a namespace labelled pod-security.kubernetes.io/enforce=privileged "
            "(kubectl label namespace … --overwrite), or another one",
            notebook=INSTALL,
        )
    if "exceeded quota" in message or "failed quota" in message:
        return ApplyRefusedError(
            f"a quota refuses the builder: {shortened(message)}",
            where=where,
            remedy="lower requests and limits, remove what fills the quota (kubectl describe quota), "
            "or use another namespace",
            notebook=INSTALL,
        )
    if "is being terminated" in message:
        return NamespaceMissingError(
            "the namespace is being deleted", where=where, remedy="wait until it is gone, or use another"
        )
    return ApplyRefusedError(
        f"admission refused it: {shortened(message)}", where=where, remedy="mend what the message names"
    )


def _not_found(message: str, where: str) -> ClusterError:
    namespace = _NAMESPACE.search(message)
    if namespace:
        return NamespaceMissingError(
            f"the namespace {namespace['name']} does not exist",
            where=where,
            remedy="set create_namespace, or name one that exists",
            notebook=INSTALL,
        )
    if UNKNOWN_TO_KUBELET.fullmatch(message.strip()):
        return PodNotReadyError(
            "its node does not know this Pod: the kubelet has just started, or the Pod is being deleted",
            where=where,
            remedy="wait some seconds and run it again; if it stays so, look at the node",
            notebook=INSTALL,
        )
    return ObjectMissingError(
        f"it is not there: {shortened(message)}", where=where, remedy="run notebook 01 first"
    )


def _conflict(message: str, where: str) -> ClusterError:
    managers = sorted(set(_CONFLICT.findall(message)))
    if managers:
        owners = ", ".join(managers)
        return FieldConflictError(
            f"another manager owns fields that the manifest sets ({owners}): {shortened(message)}",
            where=where,
            remedy=f"let {managers[0]} give the fields up, or choose another name for the builder",
        )
    return ApplyRefusedError(f"conflict: {shortened(message)}", where=where, remedy="try again")


def _invalid(message: str, where: str) -> ClusterError:
    if "may not change fields" in message or "field is immutable" in message:
        return ImmutableDriftError(
            f"a field that cannot change in place differs: {shortened(message)}",
            where=where,
            remedy="set allow_replace to delete the Pod and make it anew (a running build is lost)",
            notebook=INSTALL,
        )
    return ApplyRefusedError(
        f"the object is not valid: {shortened(message)}", where=where, remedy="mend the named parameter"
    )


REFUSALS: Mapping[int, Callable[[str, str], ClusterError]] = MappingProxyType(
    {403: _forbidden, 404: _not_found, 409: _conflict, 422: _invalid}
)
"""HTTP status -> what makes the error of (the server's message, the object asked about)."""
