"""Kubeconfigs that work are taken as they are; no cluster is asked."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from runbook_lib.cluster.binding import Cluster
from runbook_lib.settings_sources import load

SERVER = "https://127.0.0.1:1"
V1 = "client.authentication.k8s.io/v1"


def _bind(folder: Path, user: dict[str, Any], **cluster: str) -> Cluster:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return Cluster.bind(load({"kubeconfig": str(path)}, environ={}))


def _headers(cluster: Cluster) -> dict[str, str]:
    headers: dict[str, str] = {}
    cluster.api.update_params_for_auth(headers, [], ["BearerToken"], SERVER, "GET", None)
    return headers


def test_a_plugin_that_gives_a_token_logs_in(tmp_path: Path) -> None:
    answer = {"apiVersion": V1, "kind": "ExecCredential", "status": {"token": "of-the-plugin"}}
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    user = {"exec": {"apiVersion": V1, "command": str(program), "interactiveMode": "Never"}}
    assert list(_headers(_bind(tmp_path, user)).values()) == ["Bearer of-the-plugin"]


@pytest.mark.parametrize(
    "user",
    [
        {"token": "plain"},
        {"token": "plain", "auth-provider": {"name": "azure"}},
        {"auth-provider": {"name": "gcp", "config": {"access-token": "plain"}}},
    ],
    ids=["token", "token beside a provider", "provider with a token"],
)
def test_a_token_logs_in(tmp_path: Path, user: dict[str, Any]) -> None:
    assert list(_headers(_bind(tmp_path, user)).values()) == ["Bearer plain"]


def test_a_certificate_and_a_proxy_are_taken(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("client.example")
    encoded = [
        base64.b64encode(pem.bytes()).decode()
        for pem in (authority.cert_pem, leaf.cert_chain_pems[0], leaf.private_key_pem)
    ]
    user = {"client-certificate-data": encoded[1], "client-key-data": encoded[2]}
    more = {"certificate-authority-data": encoded[0], "proxy-url": "http://proxy.example:3128"}
    conf = _bind(tmp_path, user, **more).api.configuration
    assert (conf.host, conf.proxy) == (SERVER, "http://proxy.example:3128")
    assert conf.cert_file


def test_a_kubeconfig_variable_may_name_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bind(tmp_path, {"token": "x"})
    monkeypatch.setenv("KUBECONFIG", f"~nosuchuser/x:/nowhere:{'a' * 5000}:{tmp_path / 'kubeconfig'}")
    cluster = Cluster.bind(load({}, environ={}))
    assert (cluster.context, cluster.kubeconfig) == ("there", str(tmp_path / "kubeconfig"))
