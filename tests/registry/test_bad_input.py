"""Bad input of the registry room, one row each: its own error type and a remedy."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from runbook_lib.credentials import CredentialReference, SecretValue
from runbook_lib.errors import (
    DockerConfigError,
    HelperMissingError,
    InvalidParameterError,
    MalformedCredentialError,
    MissingCredentialError,
    ReferenceFormatError,
    RegistryAnswerError,
    RegistryTlsError,
    RegistryUnreachableError,
    RunbookError,
)
from runbook_lib.registry.challenge import parse as parse_challenge
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.credential_helper import CredentialHelper
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login, decode_auth, encode_auth
from runbook_lib.registry.ocir import check_username
from runbook_lib.registry.reference import Reference
from runbook_lib.registry.safe_file import real_path
from sandbox.double.lab import Lab, free_port

PURE: list[tuple[str, Callable[[], object], type[RunbookError]]] = [
    *[
        (f"reference {text!r}", lambda text=text: Reference.parse(text), ReferenceFormatError)
        for text in (
            "",
            "app:1",
            "ns/app:1",
            "iad.ocir.io/ns/app",
            "iad.ocir.io/ns/app:",
            "iad.ocir.io/ns/app@",
            "iad.ocir.io/ns/app:.x",
            "iad.ocir.io/ns/app:" + "x" * 129,
            "iad.ocir.io/ns/app@sha256:abc",
            "iad.ocir.io/ns/app@md5:0",
            "iad.ocir.io/ns/App:1",
            "iad.ocir.io/ns//app:1",
            "iad.ocir.io:0/ns/app:1",
            "iad.ocir.io:99999/ns/app:1",
            "https://iad.ocir.io/ns/app:1",
            "iad.ocir.io/ns/app:1\n",
            "iad.ocir.io/" + "a" * 256 + ":1",
        )
    ],
    *[
        (f"user {name!r}", lambda name=name: check_username("ocir", name), InvalidParameterError)
        for name in (
            "",
            "jdoe",
            "ns/",
            "/jdoe",
            "ns//jdoe",
            "a/b/c/d",
            "ns/j doe",
            "ns/jdoe:token",
            "ns/jdoe\n",
        )
    ],
    ("user with colon", lambda: encode_auth(Login("a:b", SecretValue("token"))), MalformedCredentialError),
    ("auth not base64", lambda: decode_auth("%%%", "x"), DockerConfigError),
    ("auth without colon", lambda: decode_auth("YWJj", "x"), DockerConfigError),
    ("helper name", lambda: CredentialHelper("../sh"), DockerConfigError),
    ("helper missing", lambda: CredentialHelper("nowhere-here").require(), HelperMissingError),
    ("no challenge", lambda: parse_challenge("", "h"), RegistryAnswerError),
    ("Negotiate", lambda: parse_challenge("Negotiate", "h"), RegistryAnswerError),
    ("realm in clear", lambda: parse_challenge('Bearer realm="http://h/t"', "h"), RegistryAnswerError),
    ("realm missing", lambda: parse_challenge('Bearer service="h"', "h"), RegistryAnswerError),
    ("env unset", lambda: CredentialReference.parse("env:RUNBOOK_NOT_SET").resolve(), MissingCredentialError),
    ("file missing", lambda: CredentialReference.parse("file:/nowhere/t").resolve(), MissingCredentialError),
    ("no cluster", lambda: CredentialReference.parse("secret:a/b/c").resolve(), MissingCredentialError),
    ("CA missing", lambda: RegistryClient("h", ca="/nowhere/ca.pem"), RegistryTlsError),
]
CONFIGS = {
    "cut": '{"auths": {',
    "trailing comma": '{"auths": {},}',
    "list": "[]",
    "auths list": '{"auths": []}',
    "entry text": '{"auths": {"h": "x"}}',
    "helpers list": '{"credHelpers": []}',
    "helper number": '{"credHelpers": {"h": 1}}',
    "store number": '{"credsStore": 1}',
    "key twice": '{"auths": {}, "auths": {}}',
    "NaN": '{"x": NaN}',
    "huge number": '{"x": 1e999}',
    "latin-1": b'{"x": "\xe9"}',
    "deep": "[" * 200_000,
}


@pytest.mark.parametrize(("call", "error"), [row[1:] for row in PURE], ids=[row[0] for row in PURE])
def test_each_fault_has_its_type_and_a_remedy(call: Callable[[], object], error: type[RunbookError]) -> None:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert caught.value.remedy
    assert caught.value.what


@pytest.mark.parametrize("name", CONFIGS)
def test_a_malformed_config_is_refused_and_left_alone(name: str, tmp_path: Path) -> None:
    text = CONFIGS[name]
    content = text if isinstance(text, bytes) else text.encode()
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(DockerConfigError) as caught:
        DockerConfigFile(path).merge({"iad.ocir.io": Login("ns/u", SecretValue("token"))})
    assert caught.value.remedy
    assert path.read_bytes() == content


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
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.settimeout(5)
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(6)


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
