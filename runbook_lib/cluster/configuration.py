"""What the Kubernetes client needs to know: from a context of a kubeconfig, or from the Pod it runs in."""

from __future__ import annotations

import logging
import shutil
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from runbook_lib.bounded import bounded
from runbook_lib.cluster.certificates import require_usable
from runbook_lib.cluster.key_files import keep_in_memory
from runbook_lib.cluster.kubeconfig import of_context
from runbook_lib.errors import ClusterAuthError, ContextNotFoundError

IN_CLUSTER = "in-cluster"
# What the client library raises on a kubeconfig whose parts are of other types than it takes for granted.
_MALFORMED = (
    ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError,
    urllib3.exceptions.HTTPError,
)  # fmt: skip
_PLUGIN_SECONDS = 60.0  # `oci ce cluster generate-token` takes seconds on a cold start


def configured(merged: dict[str, Any], context: str, paths: str) -> client.Configuration:
    """What the client needs to know for `context`; `merged` holds the entries of the files in `paths`.

    Raises:
        ContextNotFoundError: the context names what is not there, or its entries cannot be used.
        ClusterAuthError: its exec plugin is missing, failed or hangs; its client certificate has expired.
    """
    _, user = of_context(merged, context)
    plugin = user.get("exec") or {}
    command = str(plugin.get("command") or "")
    if command and not shutil.which(command):
        raise ClusterAuthError(
            f"the kubeconfig calls {command!r} to log in, and it is not on PATH",
            where=f"context {context}",
            remedy=f"install {command} (for OKE: the OCI CLI), or use a ServiceAccount's kubeconfig",
        )
    conf = client.Configuration()
    try:
        heard = _load(conf, paths, context, bool(command))
    except ContextNotFoundError:
        if user.get("auth-provider"):
            raise _no_provider(context) from None
        raise
    if command and not conf.api_key and not conf.cert_file:  # the key's name is the client's own matter
        raise ClusterAuthError(
            f"{command!r} gave no token: {heard[-1] if heard else 'it said nothing'}",
            where=f"context {context}",
            remedy=f"run the {command} login by hand and mend what it says",
        )
    if user.get("auth-provider") and not conf.api_key and not conf.cert_file:
        raise _no_provider(context)
    require_usable(conf, context)
    _require_client(conf, f"context {context}")
    return conf


def _require_client(conf: client.Configuration, where: str) -> None:
    """Make a client, for it is only then that the client library reads the proxy's address.

    Raises:
        ContextNotFoundError: the address is none, or of a kind that cannot be used here.
    """
    try:
        client.ApiClient(conf).close()
    except (urllib3.exceptions.HTTPError, ImportError, ValueError, TypeError, AttributeError):
        raise ContextNotFoundError(
            "the address of its proxy cannot be used",
            where=where,
            remedy="correct proxy-url in the kubeconfig, or the variables HTTPS_PROXY and NO_PROXY",
        ) from None


def _no_provider(context: str) -> ClusterAuthError:
    return ClusterAuthError(
        "its auth-provider gave no token; kubectl knows auth-provider no more",
        where=f"context {context}",
        remedy="write the kubeconfig of this cluster anew, with an exec plugin or a ServiceAccount's token",
    )


def _load(conf: client.Configuration, paths: str, context: str, plugin: bool) -> list[str]:
    """Fill `conf`; returns what the client logged, for it only logs why an exec plugin failed."""
    heard: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)

    keep_in_memory()

    def work() -> None:
        config.load_kube_config(
            config_file=paths, context=context, client_configuration=conf, persist_config=False
        )

    try:
        bounded(work, _PLUGIN_SECONDS if plugin else 10.0, "the kubeconfig's login")
    except TimeoutError:
        raise ClusterAuthError(
            f"the kubeconfig's login plugin did not answer within {_PLUGIN_SECONDS:.0f} s",
            where=f"context {context}",
            remedy="run it by hand once; it may be waiting for a password or a browser",
        ) from None
    except _MALFORMED as e:
        shown = str(e) if isinstance(e, ConfigException | OSError | ValueError) else type(e).__name__
        raise ContextNotFoundError(
            f"the context cannot be used: {shown}",
            where=f"context {context}",
            remedy="write the kubeconfig anew",
        ) from None
    finally:
        logging.getLogger().removeHandler(handler)
    return heard


def in_cluster() -> client.Configuration:
    """The same from a Pod's own ServiceAccount.

    Raises:
        ContextNotFoundError: this is no Pod, or it has no token.
    """
    conf = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=conf)
    except ConfigException as e:
        raise ContextNotFoundError(
            f"neither a kubeconfig nor a ServiceAccount token is here: {e}",
            where=IN_CLUSTER,
            remedy="set the parameter kubeconfig",
        ) from None
    _require_client(conf, IN_CLUSTER)
    return conf
