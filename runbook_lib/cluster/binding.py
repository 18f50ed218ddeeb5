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
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.bounded import bounded
from runbook_lib.cluster.certificates import require_usable
from runbook_lib.cluster.key_files import keep_in_memory
from runbook_lib.errors import (
    ClusterAuthError,
    ContextNotFoundError,
    MissingCredentialError,
    ObjectMissingError,
)
from runbook_lib.settings import Settings

FIELD_MANAGER = "buildkit-runbook"
IN_CLUSTER = "in-cluster"
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
        merged = _merged(paths, settings)
        context = settings.context or str(merged.get("current-context") or "")
        _require_context(merged, context, paths)
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


def kubeconfig_paths(settings: Settings) -> str:
    """Existing kubeconfig files, joined as $KUBECONFIG joins them; "" where there are none.

    Raises:
        ContextNotFoundError: the parameter names a file that is not there.
    """
    if settings.kubeconfig:
        path = Path(settings.kubeconfig).expanduser()
        if not path.is_file():
            raise ContextNotFoundError(
                "the kubeconfig file does not exist",
                where=str(path),
                remedy="correct the parameter kubeconfig",
            )
        return str(path)
    given = os.environ.get("KUBECONFIG", "")
    candidates = given.split(os.pathsep) if given else [str(Path.home() / ".kube" / "config")]
    return os.pathsep.join(c for c in candidates if c and Path(c).expanduser().is_file())


def context_names(settings: Settings) -> tuple[list[str], str]:
    """(names of the contexts of the kubeconfig, the current one or "").

    Raises:
        ContextNotFoundError: no kubeconfig, or one that cannot be read.
    """
    merged = _merged(kubeconfig_paths(settings), settings)
    names = [str(c.get("name")) for c in merged["contexts"] if isinstance(c, dict)]
    return names, str(merged.get("current-context") or "")


def _merged(paths: str, settings: Settings) -> dict[str, Any]:
    remedy = "write one with `oci ce cluster create-kubeconfig`, or set the parameter kubeconfig"
    if not paths:
        looked = settings.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise ContextNotFoundError("there is no kubeconfig", where=looked, remedy=remedy)
    merged: dict[str, Any] = {}
    for path in paths.split(os.pathsep):
        _merge(merged, path)
    if not merged.get("contexts"):
        raise ContextNotFoundError("the kubeconfig has no contexts", where=paths, remedy=remedy)
    return merged


def _merge(merged: dict[str, Any], path: str) -> None:
    """Add one file: the first file that names an entry wins, as in kubectl."""
    try:
        document = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8")) or {}
        for section in ("contexts", "users", "clusters"):
            merged.setdefault(section, []).extend(e for e in document.get(section) or [] if "name" in e)
        merged["current-context"] = merged.get("current-context") or document.get("current-context")
    except (yaml.YAMLError, OSError, ValueError, AttributeError, TypeError) as e:
        raise ContextNotFoundError(
            f"the kubeconfig cannot be read ({type(e).__name__})",
            where=path,
            remedy="mend its YAML, or write it anew",
        ) from None


def _entry(merged: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    entries = merged.get(section) or []
    return next((e for e in entries if isinstance(e, dict) and e.get("name") == name), {})


def _require_context(merged: dict[str, Any], context: str, paths: str) -> None:
    known = [str(c.get("name")) for c in merged["contexts"] if isinstance(c, dict)]
    if context not in known:
        what = f"there is no context {context!r}" if context else "no current context is set"
        raise ContextNotFoundError(
            f"{what}; the contexts are: {', '.join(known)}", where=paths, remedy="set the parameter context"
        )


def _configured(merged: dict[str, Any], context: str, paths: str) -> client.Configuration:
    chosen = _entry(merged, "contexts", context).get("context") or {}
    for section in ("cluster", "user"):  # the client would go on without, and be told 403 as a stranger
        if not _entry(merged, f"{section}s", str(chosen.get(section))):
            raise ContextNotFoundError(
                f"the context names the {section} {chosen.get(section)!r}, which the kubeconfig lacks",
                where=f"context {context}",
                remedy="write the kubeconfig of this cluster anew",
            )
    user = _entry(merged, "users", str(chosen.get("user"))).get("user") or {}
    plugin = user.get("exec") or {}
    command = str(plugin.get("command") or "")
    if command and not shutil.which(command):
        raise ClusterAuthError(
            f"the kubeconfig calls {command!r} to log in, and it is not on PATH",
            where=f"context {context}",
            remedy=f"install {command} (for OKE: the OCI CLI), or use a ServiceAccount's kubeconfig",
        )
    conf = client.Configuration()
    heard = _load(conf, paths, context, bool(command))
    if command and not conf.api_key.get("authorization") and not conf.cert_file:
        raise ClusterAuthError(
            f"{command!r} gave no token: {heard[-1] if heard else 'it said nothing'}",
            where=f"context {context}",
            remedy=f"run the {command} login by hand and mend what it says",
        )
    require_usable(conf, context)
    return conf


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
    except (ConfigException, OSError, ValueError, TypeError, KeyError) as e:
        raise ContextNotFoundError(
            f"the context cannot be used: {e}", where=f"context {context}", remedy="write the kubeconfig anew"
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
    return conf
