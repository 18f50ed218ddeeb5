"""Binding to one cluster: a kubeconfig context by name, or the Pod's own ServiceAccount.

Nothing is taken from "the current state of kubectl" silently: the bound context, server and namespace
are attributes that every plan shows.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import shlex
import shutil
from dataclasses import dataclass, field
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from runbook_lib.bounded import bounded
from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.certificates import require_usable
from runbook_lib.cluster.key_files import keep_in_memory
from runbook_lib.cluster.kubeconfig import kubeconfig_paths, merged_of, of_context, require_context
from runbook_lib.errors import (
    ClusterAuthError,
    ContextNotFoundError,
    MissingCredentialError,
    ObjectMissingError,
)
from runbook_lib.settings import Settings

FIELD_MANAGER = "buildkit-runbook"
IN_CLUSTER = "in-cluster"
# What the client library raises on a kubeconfig whose parts are of other types than it takes for granted.
_MALFORMED = (
    ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError,
    urllib3.exceptions.HTTPError,
)  # fmt: skip
_PLUGIN_SECONDS = 60.0  # `oci ce cluster generate-token` takes seconds on a cold start


@dataclass(frozen=True)
class Cluster:
    """One bound cluster. `timeout` (seconds) bounds every request; `kubeconfig` is "" in-cluster."""

    context: str
    namespace: str
    server: str
    kubeconfig: str
    timeout: float
    api: client.ApiClient = field(repr=False)
    core: client.CoreV1Api = field(repr=False)

    @classmethod
    def bind(cls, settings: Settings) -> Cluster:
        """Read the kubeconfig and make the client; no request is sent yet.

        Raises:
            ContextNotFoundError: no kubeconfig, a malformed one, or no such context (those that exist
                are listed).
            ClusterAuthError: the context's exec plugin is missing, failed or hangs; its client
                certificate has expired.
        """
        paths = kubeconfig_paths(settings)
        if not paths and not settings.context and "KUBERNETES_SERVICE_HOST" in os.environ:
            return cls._of(settings, IN_CLUSTER, "", _in_cluster())
        merged = merged_of(paths, settings)
        context = settings.context or str(merged.get("current-context") or "")
        require_context(merged, context, paths)
        return cls._of(settings, context, paths, _configured(merged, context, paths))

    @classmethod
    def _of(cls, settings: Settings, context: str, paths: str, conf: client.Configuration) -> Cluster:
        conf.retries = urllib3.Retry(
            total=3, connect=1, read=0, redirect=0, status=3, other=0,
            status_forcelist=(429,), allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        api = client.ApiClient(conf)
        core = client.CoreV1Api(api)
        return cls(context, settings.namespace, conf.host, paths, settings.request_timeout, api, core)

    @property
    def request_timeout(self) -> tuple[float, float]:
        """(connect, read) seconds, as the client wants them."""
        return (min(5.0, self.timeout), self.timeout)

    @property
    def kubectl_words(self) -> str:
        """How a person begins a kubectl call for this target; in a Pod kubectl finds the cluster itself."""
        context = f" --context={shlex.quote(self.context)}" if self.kubeconfig else ""
        return f"kubectl{context} --namespace={self.namespace}"

    def version(self) -> str:
        """The server's version, such as v1.37.2."""
        with explained(self.server, "/version"):
            answer = client.VersionApi(self.api).get_code(_request_timeout=self.request_timeout)
        return str(answer.git_version)

    def read_secret(self, namespace: str, name: str, key: str) -> str:
        """One key of a Secret, decoded.

        Raises:
            MissingCredentialError: no such Secret or key, or it is not UTF-8 text.
            ClusterError: the API server refused or did not answer.
        """
        where = f"secret:{namespace}/{name}/{key}"
        try:
            with explained(self.server, where):
                secret = self.core.read_namespaced_secret(
                    name, namespace, _request_timeout=self.request_timeout
                )
        except ObjectMissingError:
            raise MissingCredentialError(
                "the Secret does not exist", where=where, remedy="create it, or correct the reference"
            ) from None
        data: dict[str, Any] = secret.data or {}
        if key not in data:
            raise MissingCredentialError(
                f"the Secret has no such key; it has: {', '.join(sorted(data)) or '(none)'}",
                where=where,
                remedy="correct the last part of the reference",
            )
        try:
            return base64.b64decode(data[key]).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise MissingCredentialError(
                "the value is not UTF-8 text", where=where, remedy="keep the token alone under this key"
            ) from None


def _configured(merged: dict[str, Any], context: str, paths: str) -> client.Configuration:
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


def _in_cluster() -> client.Configuration:
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
