"""What registries answer, row by row: distribution's error bodies, OCI's, web pages, TLS faults."""

from __future__ import annotations

import json
import ssl
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme

from runbook_lib.errors import (
    LoginRefusedError,
    PushDeniedError,
    RegistryAnswerError,
    RegistryError,
    RegistryTlsError,
)
from runbook_lib.registry import transport
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.explain import ROWS, error_for, read_body, row_for, seconds_to_wait
from runbook_lib.registry.token import read_token

from .fake_registry import fake_registry, listener


def oci(code: str, message: str = "") -> bytes:
    """An error of OCI's APIs."""
    return json.dumps({"code": code, "message": message}).encode()


def body(code: str, message: str = "") -> bytes:
    """An error of distribution."""
    return json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]}).encode()


ANONYMOUS = "Anonymous users are only allowed read access on public repos"
EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
CASES: list[tuple[int, bytes, type[RegistryError], str, str]] = [
    (
        401,
        body("UNAUTHORIZED", "authentication required"),
        LoginRefusedError,
        "not accept the login",
        "token",
    ),
    (401, oci("NotAuthenticated"), LoginRefusedError, "not accept the login", "exactly this user"),
    (401, b"", LoginRefusedError, "not accept the login", "console password"),
    (403, body("DENIED", EXPIRED), LoginRefusedError, "the login has expired", "log in again"),
    (400, oci("denied", EXPIRED), LoginRefusedError, "the login has expired", "a new token"),
    (403, body("DENIED", ANONYMOUS), LoginRefusedError, "for an anonymous one", "newline"),
    (
        409,
        body("CONFLICT", "attestation manifests"),
        RegistryAnswerError,
        "attestation",
        "provenance and SBOM",
    ),
    (
        400,
        body("MANIFEST_INVALID", "vnd.buildkit.cacheconfig.v0"),
        RegistryAnswerError,
        "cache",
        "type=local",
    ),
    (404, oci("NotAuthorizedOrNotFound"), PushDeniedError, "does not tell which", "manage repos"),
    (403, body("DENIED", "requested access is denied"), PushDeniedError, "may not do that", "manage repos"),
    (403, b"<html>Forbidden</html>", PushDeniedError, "may not do that", "own namespace"),
    (400, body("DENIED"), PushDeniedError, "may not do that", "own namespace"),
    (404, body("NAME_UNKNOWN", "does not exist"), PushDeniedError, "a push does not create it", "create the"),
    (404, body("NAME_UNKNOWN"), RegistryAnswerError, "no such repository", "Object Storage namespace"),
    (404, body("MANIFEST_UNKNOWN"), RegistryAnswerError, "no such tag", "push it first"),
    (404, body("BLOB_UPLOAD_UNKNOWN"), RegistryAnswerError, "lost the upload", "load balancer"),
    (416, body("BLOB_UPLOAD_INVALID"), RegistryAnswerError, "lost the upload", "push again"),
    (404, body("BLOB_UNKNOWN"), RegistryAnswerError, "layer is not there", "push the image again"),
    (404, b"<html>nginx</html>", RegistryAnswerError, "not a registry", "host[:port]"),
    (405, body("UNSUPPORTED"), RegistryAnswerError, "does not offer", "switched off"),
    (400, body("UNSUPPORTED"), RegistryAnswerError, "does not offer", "switched off"),
    (409, body("CONFLICT"), RegistryAnswerError, "conflict", "immutable"),
    (413, b"<html>Request Entity Too Large</html>", RegistryAnswerError, "larger", "client_max_body_size"),
    (429, body("TOOMANYREQUESTS"), RegistryAnswerError, "too many requests", "wait"),
    (503, body("TOOMANYREQUESTS"), RegistryAnswerError, "too many requests", "wait"),
    (400, body("DIGEST_INVALID"), RegistryAnswerError, "other bytes", "proxy"),
    (400, body("SIZE_INVALID"), RegistryAnswerError, "other bytes", "push again"),
    (400, body("MANIFEST_INVALID"), RegistryAnswerError, "accept this manifest", "ordinary image"),
    (400, body("NAME_INVALID"), RegistryAnswerError, "repository name", "lower-case"),
    (400, oci("InvalidParameter", "bad"), RegistryAnswerError, "not accept the request", "user name"),
    (507, b"", RegistryAnswerError, "no room", "quota"),
    (502, b"<html>Bad Gateway</html>", RegistryAnswerError, "in front of the registry", "load balancer"),
    (503, b"", RegistryAnswerError, "in front of the registry", "try again"),
    (504, b"", RegistryAnswerError, "in front of the registry", "try again"),
    (500, body("UNKNOWN"), RegistryAnswerError, "failed on its side", "try again later"),
    (418, b"", RegistryAnswerError, "something unexpected", "is a registry"),
]


@pytest.mark.parametrize(("status", "content", "error", "cause", "remedy"), CASES)
def test_each_answer_has_its_cause_and_remedy(
    status: int, content: bytes, error: type[RegistryError], cause: str, remedy: str
) -> None:
    found = error_for(status, content, "h.example/ns/app", "pushing")
    assert type(found) is error
    assert cause in found.what
    assert f"HTTP {status}" in found.what
    assert remedy in found.remedy
    assert "<html>" not in found.what


def test_every_row_is_tested() -> None:
    hit = [row_for(status, *read_body(content)) for status, content, *_ in CASES]
    assert [row for row in ROWS if row not in hit] == []


def test_odd_bodies_are_no_crash() -> None:
    odd = [b"null", b"[]", b'{"errors": 1}', b'{"errors": [1]}', b'{"errors": []}', b"\xff\xfe", b"[" * 5000]
    for content in odd:
        assert "HTTP 500" in error_for(500, content, "h", "x").what
        assert read_token(content) is None
    long = error_for(500, body("X", "\x1b[31m" + "y" * 9000), "h", "x").what
    assert len(long) < 600
    assert "\x1b" not in long


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("", 0), ("7", 7), ("-1", 0), ("soon", 0), ("٣", 0), ("9" * 400, 999999999), ("in", 0)],
)
def test_retry_after_in_seconds(given: str, seconds: float) -> None:
    assert seconds_to_wait(given) == seconds


def test_retry_after_as_a_date() -> None:
    assert 50 < seconds_to_wait(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert seconds_to_wait(formatdate(time.time() - 60, usegmt=True)) == 0


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_told_and_reads_stay_bounded(
    tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LONGEST_PAUSE", 0.1)
    with (
        fake_registry(tmp_path, lambda *_: (status, {"Retry-After": "77"}, b"")) as fake,
        RegistryClient(fake.host, None, fake.ca, 3) as client,
        pytest.raises(RegistryAnswerError) as caught,
    ):
        client.challenge()
    assert caught.value.remedy.startswith("wait 77 s, as the registry asks")
    assert len(fake.seen) == transport.ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "said", "remedy"),
    [
        ("unknown CA", "does not verify", "registry_ca"),
        ("self-signed", "signed by itself", "registry_ca"),
        ("plain http", "speaks plain HTTP", "TLS listener"),
    ],
)
def test_tls_faults(tmp_path: Path, fault: str, said: str, remedy: str) -> None:
    context = None if fault == "plain http" else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    if fault == "unknown CA" and context:
        authority.issue_cert("127.0.0.1").configure_cert(context)
    if fault == "self-signed" and context:
        authority.private_key_pem.write_to_path(tmp_path / "key.pem")
        authority.cert_pem.write_to_path(tmp_path / "own.pem")
        context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    with (
        listener(context) as host,
        RegistryClient(host, None, "", 3, attempts=1) as client,
        pytest.raises(RegistryTlsError, match=said) as caught,
    ):
        client.challenge()
    assert remedy in caught.value.remedy
