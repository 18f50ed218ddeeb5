"""Binding to one cluster: a kubeconfig context by name, or the Pod's own ServiceAccount.

Nothing is taken from "the current state of kubectl" silently: the bound context, server and namespace
are attributes that every plan shows.
"""

from __future__ import annotations

import base64
import binascii
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTResponse

from runbook_lib.bounded import bounded
from runbook_lib.cluster.api_errors import explained, json_object, of_something_else
from runbook_lib.cluster.configuration import IN_CLUSTER, PLUGIN_SECONDS, configured, in_cluster
from runbook_lib.cluster.kubeconfig import kubeconfig_paths, merged_of, require_context
from runbook_lib.errors import (
    MissingCredentialError,
    ObjectMissingError,
)
from runbook_lib.settings import Settings

FIELD_MANAGER = "buildkit-runbook"
Json = dict[str, Any]
_LONGEST_PAUSE = 2  # seconds before one of three more tries, also for a Retry-After that asks for more
_SLACK = 0.5  # seconds in which the client's own time-outs come first, which say more


@dataclass(frozen=True)
class Cluster:
    """One bound cluster; `kubeconfig` is "" in-cluster.

    `timeout` (seconds) bounds what `ask` does as a whole, and each silence of what goes through `core`.
    """

    context: str
    namespace: str
    server: str
    kubeconfig: str
    timeout: float
    api: client.ApiClient = field(repr=False)
    core: client.CoreV1Api = field(repr=False)

    @classmethod
    def bind(cls, settings: Settings, plugin_seconds: float = PLUGIN_SECONDS) -> Cluster:
        """Read the kubeconfig and make the client; no request is sent yet.

        An exec plugin of the context is run, and ended when it takes more than `plugin_seconds`.

        Raises:
            ContextNotFoundError: no kubeconfig, a malformed one, or no such context (those that exist
                are listed).
            ClusterAuthError: the context's exec plugin is missing, failed or hangs; its client
                certificate has expired.
        """
        paths = kubeconfig_paths(settings)
        if not paths and not settings.context and "KUBERNETES_SERVICE_HOST" in os.environ:
            return cls._of(settings, IN_CLUSTER, "", in_cluster())
        merged = merged_of(paths, settings)
        context = settings.context or str(merged.get("current-context") or "")
        require_context(merged, context, paths)
        return cls._of(settings, context, paths, configured(merged, context, paths, plugin_seconds))

    @classmethod
    def _of(cls, settings: Settings, context: str, paths: str, conf: client.Configuration) -> Cluster:
        conf.retries = urllib3.Retry(
            total=3, connect=1, read=0, redirect=0, status=3, other=0,
            status_forcelist=(429,), allowed_methods=None, raise_on_status=False, raise_on_redirect=False,
            backoff_factor=0.2, retry_after_max=min(_LONGEST_PAUSE, int(settings.request_timeout / 5)),
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
        found = self.ask("GET", "/version", where="/version")
        if "gitVersion" not in found:
            raise of_something_else(str(found)[:80], self.server)
        return str(found["gitVersion"])

    def ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Json | None = None,
        content_type: str = "application/json",
        *,
        where: str,
    ) -> Json:
        """One request, done within `timeout` seconds in all: the JSON object that the API server answers.

        Raises:
            ClusterError: the API server refused, did not answer in time, or something else answered.
        """
        headers = {"Accept": "application/json"} | (
            {"Content-Type": content_type} if body is not None else {}
        )

        def work() -> tuple[RESTResponse, bytes]:
            request = self.api.param_serialize(
                method, path, query_params=list(query), header_params=headers, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            answer = self.api.call_api(*request, _request_timeout=self.request_timeout)
            return answer, answer.read()

        with explained(self.server, where):
            answer, data = bounded(work, self.timeout + _SLACK, f"{method} {where}")
            if not 200 <= answer.status <= 299:
                raise ApiException(http_resp=answer, body=data.decode(errors="replace"))
            return json_object(data, answer.headers.get("Content-Type", ""), self.server)

    def read_secret(self, namespace: str, name: str, key: str) -> str:
        """One key of a Secret, decoded.

        Raises:
            MissingCredentialError: no such Secret or key, or it is not UTF-8 text.
            ClusterError: the API server refused or did not answer.
        """
        where = f"secret:{namespace}/{name}/{key}"
        try:
            place = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(name, safe='')}"
            secret = self.ask("GET", place, where=where)
        except ObjectMissingError:
            raise MissingCredentialError(
                "the Secret does not exist", where=where, remedy="create it, or correct the reference"
            ) from None
        data: Json = secret.get("data") or {}
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
