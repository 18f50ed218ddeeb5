"""A login never leaves in clear: not by an upload's address, not by a redirect, not by a token's realm."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import RegistryAnswerError, RegistryError
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.logins import Login

HOST = "registry.example:5443"
LOGIN = Login("user", SecretValue("hunter2-of-the-user"))
Answers = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[httpx.Request]]:
    """Every request that leaves the client, redirects included; none may carry a login over plain http."""
    seen: list[httpx.Request] = []
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: _answer(seen, request))
    yield seen
    in_clear = [r for r in seen if r.url.scheme != "https"]
    assert [r for r in in_clear if "Authorization" in r.headers or r.method not in ("GET", "HEAD")] == []


_answers: list[Answers] = []


def _answer(seen: list[httpx.Request], request: httpx.Request) -> httpx.Response:
    seen.append(request)
    if request.url.path == "/v2/":
        return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
    return _answers[-1](request)


def _registry(answers: Answers) -> RegistryClient:
    _answers.append(answers)
    return RegistryClient(HOST, LOGIN, timeout=2)


def _opens_at(location: str) -> Answers:
    def answers(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": location})
        return httpx.Response(404 if request.method == "HEAD" else 201)

    return answers


@pytest.mark.parametrize("location", [f"http://{HOST}/v2/team/app/blobs/uploads/1", "http://else.example/up"])
def test_an_upload_address_without_tls_is_refused(sent: list[httpx.Request], location: str) -> None:
    with _registry(_opens_at(location)) as client:
        for push in (client.start_upload, lambda name: client.put_blob(name, b"data")):
            with pytest.raises(RegistryAnswerError, match=r"without TLS \(http://") as caught:
                push("team/app")
            assert "X-Forwarded-Proto" in caught.value.remedy
            assert LOGIN.secret.reveal() not in str(caught.value)
    assert {r.url.scheme for r in sent} == {"https"}


def test_an_upload_address_from_elsewhere_gets_no_login_in_clear(sent: list[httpx.Request]) -> None:
    with _registry(_opens_at("")) as client:
        assert client.cancel_upload("team/app", f"http://{HOST}/v2/team/app/blobs/uploads/1") is False
    assert sent == []


@pytest.mark.parametrize(
    ("location", "known"),
    [("/v2/up?a=1", True), (f"https://{HOST}/v2/up", True), ("https://registry.example/v2/up", False)],
)
def test_the_login_goes_to_its_own_origin_alone(
    sent: list[httpx.Request], location: str, known: bool
) -> None:
    with _registry(_opens_at(location)) as client:
        client.put_blob("team/app", b"data")
    assert sent[-1].method == "PUT"
    assert ("Authorization" in sent[-1].headers) is known


@pytest.mark.parametrize("location", ["https://[", "https://h:99999999/x", "http://a b/"])
def test_an_upload_address_that_is_none_is_a_typed_error(sent: list[httpx.Request], location: str) -> None:
    with _registry(_opens_at(location)) as client, pytest.raises(RegistryAnswerError) as caught:
        client.put_blob("team/app", b"data")
    assert caught.value.remedy


def test_a_redirect_to_the_registry_without_tls_is_refused(sent: list[httpx.Request]) -> None:
    with (
        _registry(
            lambda r: httpx.Response(307, headers={"Location": f"http://{HOST}{r.url.path}x"})
        ) as client,
        pytest.raises(RegistryAnswerError, match="without TLS") as caught,
    ):
        client.manifest("team/app", "v1")
    assert "X-Forwarded-Proto" in caught.value.remedy
    assert {r.url.scheme for r in sent} == {"https"}


def test_storage_without_tls_is_read_without_the_login(sent: list[httpx.Request]) -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        if request.url.host == "storage.example":
            return httpx.Response(200, content=b"bytes")
        return httpx.Response(307, headers={"Location": "http://storage.example/b"})

    with _registry(answers) as client:
        assert client.blob("team/app", "sha256:" + "0" * 64) == b"bytes"
    assert "Authorization" in sent[-2].headers
    assert "Authorization" not in sent[-1].headers


@pytest.mark.parametrize("status", [302, 307])
def test_a_token_endpoint_that_leads_to_plain_http_gets_no_login(
    sent: list[httpx.Request], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    realm = f"https://{HOST}/token"

    def answer(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.path == "/v2/":
            return httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})
        return httpx.Response(status, headers={"Location": f"http://{HOST}/token"})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    with RegistryClient(HOST, LOGIN, timeout=2) as client, pytest.raises(RegistryError, match="without TLS"):
        client.token(["repository:team/app:pull,push"])
    assert {r.url.scheme for r in sent} == {"https"}
