"""Every way in which a kubeconfig or its server can fail, each with its own typed error and remedy."""

from __future__ import annotations

import base64
import copy
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cluster_lab import Site
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes.config import incluster_config

from runbook_lib.cluster.binding import IN_CLUSTER, Cluster
from runbook_lib.errors import (
    ClusterAuthError,
    ClusterUnreachableError,
    ContextNotFoundError,
    PermissionMissingError,
    RunbookError,
)
from runbook_lib.settings_sources import load
from runbook_lib.steps.install_pod import InstallPod

Document = dict[str, Any]
Edit = Callable[[Document, Path], None]


def _user(document: Document) -> Document:
    found: Document = document["users"][0]["user"]
    return found


def _server(document: Document) -> Document:
    found: Document = document["clusters"][0]["cluster"]
    return found


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _only(document: Document, **user: Any) -> None:  # noqa: ANN401
    document["users"][0]["user"] = user


def _users(**user: str) -> Edit:
    def edit(document: Document, folder: Path) -> None:
        _only(document, **user)

    return edit


def _plugin(body: str) -> Edit:
    def edit(document: Document, folder: Path) -> None:
        program = folder / "plugin"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        how = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "args": ["token"]}
        _only(document, exec={**how, "interactiveMode": "Never"})

    return edit


def _missing_plugin(document: Document, folder: Path) -> None:
    how = {"apiVersion": "client.authentication.k8s.io/v1", "command": "oci-not-installed"}
    _only(document, exec={**how, "interactiveMode": "Never"})


def _client_certificate(begin_days: int, end_days: int) -> Edit:
    def edit(document: Document, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "late")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begin_days))
            .not_valid_after(now + timedelta(days=end_days))
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate = made.public_bytes(serialization.Encoding.PEM)
        _only(
            document, **{"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(pem)}
        )

    return edit


def _set(place: Callable[[Document], Document], key: str, value: Any) -> Edit:  # noqa: ANN401
    def edit(document: Document, folder: Path) -> None:
        place(document)[key] = value

    return edit


def _foreign_authority(document: Document, folder: Path) -> None:
    _server(document)["certificate-authority-data"] = _encoded(trustme.CA().cert_pem.bytes())


def _refused(document: Document, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _server(document)["server"] = f"https://127.0.0.1:{free.getsockname()[1]}"


def _context_of_nobody(document: Document, folder: Path) -> None:
    document["contexts"][0]["context"]["user"] = "nobody"


def _no_current(document: Document, folder: Path) -> None:
    document["current-context"] = ""


def _no_contexts(document: Document, folder: Path) -> None:
    document["contexts"] = []


PEMLESS = _encoded(b"this is not a certificate")
UNREADABLE: list[tuple[str, Edit, type[RunbookError], str]] = [
    ("no contexts", _no_contexts, ContextNotFoundError, "has no contexts"),
    ("no current context", _no_current, ContextNotFoundError, "no current context"),
    ("unknown user", _context_of_nobody, ContextNotFoundError, "nobody"),
    (
        "plugin missing",
        _missing_plugin,
        ClusterAuthError,
        "'oci-not-installed' to log in, and it is not on PATH",
    ),
    (
        "plugin fails",
        _plugin("echo NotAuthenticated >&2; exit 3"),
        ClusterAuthError,
        "gave no token.*NotAuth",
    ),
    ("plugin prints garbage", _plugin("echo '<html>'"), ClusterAuthError, "gave no token"),
    ("plugin prints no status", _plugin("echo '{}'"), ClusterAuthError, "gave no token"),
    ("plugin prints nothing", _plugin("true"), ClusterAuthError, "gave no token"),
    ("expired", _client_certificate(-9, -1), ClusterAuthError, "certificate expired on"),
    ("not yet valid", _client_certificate(1, 9), ClusterAuthError, "is not valid before"),
    ("CA is no PEM", _set(_server, "certificate-authority-data", PEMLESS), ContextNotFoundError, "not a PEM"),
    (
        "CA is no base64",
        _set(_server, "certificate-authority-data", "%"),
        ContextNotFoundError,
        "not a PEM",
    ),
    (
        "certificate is no PEM",
        _set(_user, "client-certificate-data", PEMLESS),
        ContextNotFoundError,
        "PEM pair",
    ),
    ("key is no PEM", _set(_user, "client-key-data", PEMLESS), ContextNotFoundError, "PEM pair"),
]
UNANSWERED: list[tuple[str, Edit, type[RunbookError], str]] = [
    (
        "wrong CA",
        _foreign_authority,
        ClusterUnreachableError,
        "certificate of the API server does not verify",
    ),
    ("refused", _refused, ClusterUnreachableError, "refused"),
    (
        "no such name",
        _set(_server, "server", "https://nowhere.invalid:6443"),
        ClusterUnreachableError,
        "answer",
    ),
    ("wrong token", _users(token="expired"), ClusterAuthError, "401"),
    ("a stranger", _users(), PermissionMissingError, "system:anonymous"),
]


@pytest.fixture
def kubeconfig(sandbox_env: dict[str, str], tmp_path: Path) -> Callable[[Edit], Path]:
    original = yaml.safe_load(Path(sandbox_env["kubeconfig"]).read_text())

    def make(edit: Edit) -> Path:
        document = copy.deepcopy(original)
        edit(document, tmp_path)
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    return make


@pytest.mark.parametrize(
    ("edit", "error", "said"), [c[1:] for c in UNREADABLE], ids=[c[0] for c in UNREADABLE]
)
def test_a_context_that_cannot_work_is_refused_before_any_request(
    kubeconfig: Callable[[Edit], Path], edit: Edit, error: type[RunbookError], said: str
) -> None:
    settings = load({"kubeconfig": str(kubeconfig(edit))}, environ={})
    with pytest.raises(error, match=said) as caught:
        Cluster.bind(settings)
    assert type(caught.value) is error
    assert caught.value.remedy
    assert caught.value.where


@pytest.mark.parametrize(
    ("edit", "error", "said"), [c[1:] for c in UNANSWERED], ids=[c[0] for c in UNANSWERED]
)
def test_a_server_that_does_not_let_us_in_is_told_apart(
    kubeconfig: Callable[[Edit], Path], edit: Edit, error: type[RunbookError], said: str
) -> None:
    settings = load({"kubeconfig": str(kubeconfig(edit)), "request_timeout": 3.0}, environ={})
    cluster = Cluster.bind(settings)
    with pytest.raises(error, match=said) as caught:
        cluster.read_secret("default", "any", "key")
    assert type(caught.value) is error
    assert caught.value.remedy


def test_a_black_hole_is_left_within_the_request_timeout(kubeconfig: Callable[[Edit], Path]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        edit = _set(_server, "server", f"https://127.0.0.1:{silent.getsockname()[1]}")
        settings = load({"kubeconfig": str(kubeconfig(edit)), "request_timeout": 1.0}, environ={})
        begun = time.monotonic()
        with pytest.raises(ClusterUnreachableError, match="does not answer") as caught:
            Cluster.bind(settings).version()
        assert time.monotonic() - begun < 12
        assert "VPN" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "no contexts"),
        (b"contexts: [", "cannot be read"),
        (b"- a\n- b\n", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"contexts: 7", "cannot be read"),
    ],
    ids=["missing", "empty", "no YAML", "a list", "binary", "a number"],
)
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ContextNotFoundError, match=said) as caught:
        Cluster.bind(load({"kubeconfig": str(path)}, environ={}))
    assert str(path) in caught.value.where
    assert caught.value.remedy


def test_no_kubeconfig_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ContextNotFoundError, match="there is no kubeconfig") as caught:
        Cluster.bind(load({}, environ={}))
    assert "create-kubeconfig" in caught.value.remedy


def test_a_context_that_does_not_exist_names_those_that_do(sandbox_env: dict[str, str]) -> None:
    settings = load({"kubeconfig": sandbox_env["kubeconfig"], "context": "prod"}, environ={})
    with pytest.raises(ContextNotFoundError, match=f"'prod'.*{sandbox_env['context']}") as caught:
        Cluster.bind(settings)
    assert "parameter context" in caught.value.remedy


def test_the_check_tells_it_as_a_finding(site: Site) -> None:
    found = site.step(InstallPod, context="prod").check()
    assert not found.passed
    assert [f.subject for f in found] == ["target"]
    assert "parameter context" in str(found)


@pytest.fixture
def in_cluster(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a Pod has: a ServiceAccount's token and CA as files, the API server in the environment."""
    document = yaml.safe_load(Path(site.sandbox["kubeconfig"]).read_text())
    cluster = document["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    (tmp_path / "token").write_text(site.kubectl("create", "token", "default", "--duration=10m").strip())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


def test_inside_a_pod_its_service_account_is_used(in_cluster: Path, site: Site) -> None:
    cluster = Cluster.bind(load({"namespace": site.namespace}, environ={}))
    assert cluster.context == IN_CLUSTER
    assert cluster.version().startswith("v1.")
    with pytest.raises(PermissionMissingError, match=f"serviceaccount:{site.namespace}:default.*get secrets"):
        cluster.read_secret(site.namespace, "any", "key")


def test_inside_a_pod_without_a_token(in_cluster: Path) -> None:
    (in_cluster / "token").unlink()
    with pytest.raises(ContextNotFoundError, match="neither a kubeconfig nor a ServiceAccount token"):
        Cluster.bind(load({}, environ={}))
