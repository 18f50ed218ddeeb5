"""Bad input of the registry room, one row each: its own error type and a remedy."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from runbook_lib.credentials import CredentialReference, SecretValue
from runbook_lib.errors import (
    DockerConfigError,
    MalformedCredentialError,
    RegistryTlsError,
    RegistryUnreachableError,
)
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login
from runbook_lib.registry.safe_file import real_path
from sandbox.double.lab import Lab, free_port

from .fake_registry import listener


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DockerConfigError, match="leads nowhere"):
        real_path(tmp_path / "a")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DockerConfigError) as caught:
        DockerConfigFile(tmp_path / "file" / "config.json").merge({"h.io": Login("u", SecretValue("t"))})
    assert "docker_config" in caught.value.remedy


@pytest.mark.parametrize("value", ["with\nnewline", "with\ttab", "nul\0"])
def test_a_token_with_a_control_character_is_refused(value: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(value)
    with pytest.raises(MalformedCredentialError) as caught:
        CredentialReference.parse(f"file:{file}").resolve()
    assert value not in str(caught.value)


@contextmanager
def tls_server(certificate: trustme.LeafCert) -> Iterator[str]:
    """A listener that shakes hands and says nothing; the handshake is what is tested."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with listener(context) as host:
        yield host


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    leaf = authority.issue_cert("127.0.0.1", not_after=past)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with (
        tls_server(leaf) as host,
        RegistryClient(host, None, str(tmp_path / "ca.pem"), 3) as client,
        pytest.raises(RegistryTlsError, match="expired") as caught,
    ):
        client.challenge()
    assert caught.value.remedy


def test_a_certificate_that_is_not_valid_yet_points_at_the_clock(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    leaf = authority.issue_cert("127.0.0.1", not_before=later)
    with (
        tls_server(leaf) as host,
        RegistryClient(host, None, str(tmp_path / "ca.pem"), 3) as client,
        pytest.raises(RegistryTlsError, match="not valid yet") as caught,
    ):
        client.challenge()
    assert "clock" in caught.value.remedy


def test_a_certificate_for_another_name_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("registry.example")
    with (
        tls_server(leaf) as host,
        RegistryClient(host, None, str(tmp_path / "ca.pem"), 3) as client,
        pytest.raises(RegistryTlsError, match=r"not for this address|another host"),
    ):
        client.challenge()


def test_a_wrong_ca_is_named(lab: Lab, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    with (
        RegistryClient(lab.host, None, str(tmp_path / "ca.pem"), 3) as client,
        pytest.raises(RegistryTlsError, match="does not verify") as caught,
    ):
        client.challenge()
    assert "registry_ca" in caught.value.remedy


def test_plain_http_is_named(lab: Lab) -> None:
    host = lab.config.upstream.removeprefix("http://")
    with RegistryClient(host, None, "", 3) as client, pytest.raises(RegistryTlsError, match="plain HTTP"):
        client.challenge()


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1:{free}", "refused"), ("registry.invalid", "resolved")]
)
def test_an_unreachable_registry_is_named(host: str, said: str) -> None:
    with (
        RegistryClient(host.format(free=free_port()), None, "", 3) as client,
        pytest.raises(RegistryUnreachableError, match=said) as caught,
    ):
        client.challenge()
    assert caught.value.remedy
