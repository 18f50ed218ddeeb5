"""The one place where answers of the Kubernetes API become typed errors with a remedy."""

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

from runbook_lib.cluster.api_refusals import INSTALL, REFUSALS, UNKNOWN_TO_KUBELET, shortened
from runbook_lib.errors import (
    ApplyRefusedError,
    ClusterAuthError,
    ClusterError,
    ClusterUnreachableError,
    PodNotReadyError,
)

_NO_CONTAINER = re.compile(r"container not found \(")  # kubelet_pods.go, answered with 500
_HANDSHAKE = re.compile(r"Handshake status (?P<code>\d{3})")


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
            f"the certificate of the API server does not verify: {shortened(text)}",
            where=server,
            remedy="check certificate-authority in the kubeconfig, or write it anew for this cluster",
        )
    return ClusterUnreachableError(
        f"the API server does not answer: {shortened(text)}",
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
    if code == 404 and not _is_of_kubernetes(error):
        return of_something_else(f"404 {(error.headers or {}).get('Content-Type', '')}".strip(), server)
    if code in REFUSALS:
        return REFUSALS[code](message, where)
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
            f"the API server is not able to answer now ({code}): {shortened(message)}",
            where=server,
            remedy=_when_to_try_again(error),
        )
    if 100 <= code <= 399:  # a redirect, mostly to a login page; redirects are not followed
        return of_something_else(str(code), server)
    if code == 0:
        return ClusterUnreachableError(
            f"the connection failed: {shortened(message)}", where=server, remedy="try again; check the route"
        )
    return ApplyRefusedError(f"the API server refused ({code}): {shortened(message)}", where=where)


def _when_to_try_again(error: ApiException) -> str:
    asked = str((error.headers or {}).get("Retry-After") or "")
    try:
        seconds = urllib3.Retry().parse_retry_after(asked)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        seconds = 0
    return f"wait {seconds:.0f} s, as it asks, and try again" if seconds else "wait a minute and try again"


def _code_and_message(error: ApiException) -> tuple[int, str]:
    """Code and message; a refused WebSocket handshake carries both inside `reason`, with status 0."""
    reason = str(error.reason or "")
    handshake = _HANDSHAKE.search(reason)
    code = int(handshake["code"]) if handshake else int(error.status or 0)
    body = _body(error) or reason
    return code, str(_parsed(body).get("message", body))


def _is_of_kubernetes(error: ApiException) -> bool:
    """Whether the API server, or a kubelet through it, has answered; a proxy knows no path of theirs either.

    A refused handshake whose answer names no length comes without its body, which then cannot tell.
    """
    body = _body(error)
    no_body = body == "None" and _HANDSHAKE.search(str(error.reason)) is not None
    is_status = _parsed(body).get("kind") == "Status"
    return is_status or no_body or UNKNOWN_TO_KUBELET.fullmatch(body.strip()) is not None


def _body(error: ApiException) -> str:
    reason = str(error.reason or "")
    return reason.rpartition("-+-+-")[2].strip() if _HANDSHAKE.search(reason) else str(error.body or "")


def _parsed(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
