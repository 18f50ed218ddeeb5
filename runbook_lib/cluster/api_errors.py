"""The one place where answers of the Kubernetes API become typed errors with a remedy.

The wording of refusals is taken from Kubernetes 1.37: `… is forbidden: User "u" cannot VERB resource …`
(RBAC), `violates PodSecurity "level:version"` (Pod Security admission), `exceeded quota: NAME` (quota
admission), `Apply failed with N conflict` (server-side apply).
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from runbook_lib.errors import (
    ApplyRefusedError,
    ClusterAuthError,
    ClusterError,
    ClusterUnreachableError,
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
_UNKNOWN_TO_KUBELET = "pod does not exist"  # kubelet, pkg/kubelet/server/server.go
_NO_CONTAINER = re.compile(r"container not found \(")  # kubelet_pods.go, answered with 500
_HANDSHAKE = re.compile(r"Handshake status (?P<code>\d{3})")
_ROLE_REMEDY = (
    "have an administrator apply manifests/role.runbook.yaml in this namespace (to build only:"
    " role.build.yaml); it binds a ServiceAccount, so a person is bound by: kubectl create rolebinding"
    " buildkit-runbook-me --role=buildkit-runbook --user='<your user>' (its name: kubectl auth whoami)"
)


@contextmanager
def explained(server: str, where: str) -> Iterator[None]:
    """Turn what the Kubernetes client raises inside into the ClusterError family.

    `server` is the API server's address, `where` the object that is asked about.

    Raises:
        ClusterError: one of its subclasses, with the cause chained but never its headers.
    """
    try:
        yield
    except ApiException as e:
        raise of_answer(e, server, where) from None
    except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as e:
        raise of_connection(e, server) from None
    except ConfigException as e:
        raise ClusterAuthError(
            f"the kubeconfig cannot be used: {e}", where=server, remedy="renew the kubeconfig of this cluster"
        ) from None
    except (ValueError, RecursionError) as e:  # the client could not read what came
        raise of_something_else(type(e).__name__, server) from None


def json_object(data: bytes, content_type: str, server: str) -> dict[str, Any]:
    """The object in an answer of the API server.

    Raises:
        ClusterUnreachableError: it is none, so that something else must have answered.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise of_something_else(content_type[:80], server)
    return found


def of_something_else(what: str, server: str) -> ClusterUnreachableError:
    """An answer that no API server gives; `what` it is like."""
    return ClusterUnreachableError(
        f"something other than the API server answers there ({what or 'no content type'})",
        where=server,
        remedy="a proxy or a login page (SSO) may stand in between: open the address in a browser, log in"
        " there or set NO_PROXY for it; check the server in the kubeconfig",
    )


def of_connection(error: BaseException, server: str) -> ClusterUnreachableError:
    """A request that got no answer: name, route, port, time-out or certificate."""
    text = str(getattr(error, "reason", None) or error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return ClusterUnreachableError(
            f"the certificate of the API server does not verify: {_short(text)}",
            where=server,
            remedy="check certificate-authority in the kubeconfig, or write it anew for this cluster",
        )
    return ClusterUnreachableError(
        f"the API server does not answer: {_short(text)}",
        where=server,
        remedy="check the address, VPN or bastion, and that the cluster runs; then try again",
    )


def of_answer(error: ApiException, server: str, where: str) -> ClusterError:
    """An answer that is not 2xx, by its code and message."""
    code, message = _code_and_message(error)
    if code == 401:
        return ClusterAuthError(
            "the API server does not know this identity (401)",
            where=server,
            remedy="the token may have expired: log in again, or write the kubeconfig anew",
        )
    by_code = {403: _forbidden, 404: _not_found, 409: _conflict, 422: _invalid}
    if code in by_code:
        return by_code[code](message, where)
    if _NO_CONTAINER.match(message):
        return PodNotReadyError(
            "its container does not run now: it has ended, and may just begin anew",
            where=where,
            remedy="wait some seconds and run it again; if it stays so, notebook 01 says why",
            notebook=INSTALL,
        )
    if code == 501:
        return ClusterError(
            "the node answers 501 Not Implemented: OKE virtual nodes know neither exec nor port-forward",
            where=where,
            remedy="run the builder on a managed node: set node_selector to a managed node's label",
            notebook=INSTALL,
        )
    if code in (429, 500, 502, 503, 504):
        return ClusterUnreachableError(
            f"the API server is not able to answer now ({code}): {_short(message)}",
            where=server,
            remedy=_when_to_try_again(error),
        )
    if 100 <= code <= 399:  # a redirect, mostly to a login page; redirects are not followed
        return of_something_else(str(code), server)
    if code == 0:
        return ClusterUnreachableError(
            f"the connection failed: {_short(message)}", where=server, remedy="try again; check the route"
        )
    return ApplyRefusedError(f"the API server refused ({code}): {_short(message)}", where=where)


def _when_to_try_again(error: ApiException) -> str:
    asked = str((error.headers or {}).get("Retry-After") or "")
    try:
        seconds = urllib3.Retry().parse_retry_after(asked)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        seconds = 0
    return f"wait {seconds:.0f} s, as it asks, and try again" if seconds else "wait a minute and try again"


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
            f"Pod Security refuses the builder: {_short(message)}",
            where=where,
            remedy="use a namespace labelled pod-security.kubernetes.io/enforce=privileged "
            "(kubectl label namespace … --overwrite), or another one",
            notebook=INSTALL,
        )
    if "exceeded quota" in message or "failed quota" in message:
        return ApplyRefusedError(
            f"a quota refuses the builder: {_short(message)}",
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
        f"admission refused it: {_short(message)}", where=where, remedy="mend what the message names"
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
    if message.strip() == _UNKNOWN_TO_KUBELET:
        return PodNotReadyError(
            "its node does not know this Pod: the kubelet has just started, or the Pod is being deleted",
            where=where,
            remedy="wait some seconds and run it again; if it stays so, look at the node",
            notebook=INSTALL,
        )
    return ObjectMissingError(
        f"it is not there: {_short(message)}", where=where, remedy="run notebook 01 first"
    )


def _conflict(message: str, where: str) -> ClusterError:
    managers = sorted(set(_CONFLICT.findall(message)))
    if managers:
        return FieldConflictError(
            f"another manager owns fields that the manifest sets ({', '.join(managers)}): {_short(message)}",
            where=where,
            remedy=f"let {managers[0]} give the fields up, or choose another name for the builder",
        )
    return ApplyRefusedError(f"conflict: {_short(message)}", where=where, remedy="try again")


def _invalid(message: str, where: str) -> ClusterError:
    if "may not change fields" in message or "field is immutable" in message:
        return ImmutableDriftError(
            f"a field that cannot change in place differs: {_short(message)}",
            where=where,
            remedy="set allow_replace to delete the Pod and make it anew (a running build is lost)",
            notebook=INSTALL,
        )
    return ApplyRefusedError(
        f"the object is not valid: {_short(message)}", where=where, remedy="mend the named parameter"
    )


def _code_and_message(error: ApiException) -> tuple[int, str]:
    """Code and message; a refused WebSocket handshake carries both inside `reason`, with status 0."""
    reason = str(error.reason or "")
    handshake = _HANDSHAKE.search(reason)
    code = int(handshake["code"]) if handshake else int(error.status or 0)
    body = (reason.rpartition("-+-+-")[2].strip() if handshake else error.body) or reason
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = str(body)
    return code, message


def _short(text: str, most: int = 600) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most] + " …"
