"""What the Kubernetes client needs to know: from a context of a kubeconfig, or from the Pod it runs in."""

from __future__ import annotations

import logging
import shutil
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from runbook_lib.bounded import bounded
from runbook_lib.cluster.certificates import require_usable
from runbook_lib.cluster.key_files import keep_in_memory
from runbook_lib.cluster.kubeconfig import of_context
from runbook_lib.cluster.login_plugin import LoginPlugin
from runbook_lib.errors import ClusterAuthError, ContextNotFoundError

IN_CLUSTER = "in-cluster"
# What the client library raises on a kubeconfig whose parts are of other types than it takes for granted.
_MALFORMED = (
    ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError,
    urllib3.exceptions.HTTPError,
)  # fmt: skip
PLUGIN_SECONDS = 60.0  # `oci ce cluster generate-token` takes seconds on a cold start
_OTHER_SECONDS = 10.0  # a login without an exec plugin; with one, what the client may take beside it


def configured(
    merged: dict[str, Any], context: str, paths: str, plugin_seconds: float = PLUGIN_SECONDS
) -> client.Configuration:
    """What the client needs to know for `context`; `merged` holds the entries of the files in `paths`.

    An exec plugin that does not answer within `plugin_seconds` is ended.

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
        heard = _load(conf, paths, context, LoginPlugin(plugin_seconds) if command else None)
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


def _load(conf: client.Configuration, paths: str, context: str, plugin: LoginPlugin | None) -> list[str]:
    """Fill `conf`; returns what the client logged, for it only logs why an exec plugin failed."""
    heard: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)

    keep_in_memory()

    try:
        _log_in(conf, paths, context, plugin)
    except TimeoutError:
        seconds = plugin.seconds if plugin else _OTHER_SECONDS
        raise ClusterAuthError(
            f"the kubeconfig's login plugin did not answer within {seconds:.0f} s",
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


def _log_in(conf: client.Configuration, paths: str, context: str, plugin: LoginPlugin | None) -> None:
    """Let the client read the files and log in, as its `load_kube_config` does; the plugin is bounded.

    Raises:
        TimeoutError: the login takes too long.
    """

    def work() -> None:
        config = KubeConfigMerger(paths).config
        if plugin:
            plugin.mark(config, context)
        KubeConfigLoader(config, active_context=context, config_base_path=None).load_and_set(conf)

    name = "the kubeconfig's login"
    if plugin is None:
        bounded(work, _OTHER_SECONDS, name)
        return
    with plugin.bounded() as late:
        bounded(work, plugin.seconds + _OTHER_SECONDS, name)
    if late.is_set():
        raise TimeoutError
    plugin.bound_renewal(conf)


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
