"""Answers that lie about what they are: each a typed error or read as nothing, never a crash."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import RegistryAnswerError, RegistryError
from runbook_lib.registry.challenge import parse
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.explain import error_for, seconds_to_wait
from runbook_lib.registry.login_doctor import of_token
from runbook_lib.registry.logins import Login
from runbook_lib.registry.read_back import prove_push
from runbook_lib.registry.reference import Reference
from runbook_lib.registry.token import read_token

HOST = "registry.example"
REALM = 'Bearer realm="https://registry.example/token",service="s"'
ODD = ["null", "[]", "5", '"text"', "{}", '{"token": 5}', '{"token": null}', '{"token": {"a": 1}}',
       "[" * 10_000, '{"token": "\\ud800"}', '{"token": "\\u00e9"}', '{"token": "a\\nb"}', '{"token": ""}',
       "NaN", "\xff", '{"tags": null}', '{"a":' * 10_000]  # fmt: skip
Make = Callable[[Callable[[httpx.Request], httpx.Response]], RegistryClient]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a client of a registry whose every answer is given by a function; /v2/ asks for a token."""

    def make(answer: Callable[[httpx.Request], httpx.Response]) -> RegistryClient:
        def handle(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v2/":
                return httpx.Response(401, headers={"WWW-Authenticate": REALM})
            return answer(request)

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
        return RegistryClient(HOST, Login("user", SecretValue("secret-of-the-user")), timeout=2, attempts=1)

    return make


def jwt_with(**claims: object) -> bytes:
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return json.dumps({"token": ".".join([*encoded, "c2ln"])}).encode()


@pytest.mark.parametrize("body", ODD)
def test_a_token_answer_without_a_usable_token_is_a_typed_error(registry: Make, body: str) -> None:
    with (
        registry(lambda _: httpx.Response(200, content=body.encode("latin-1"))) as client,
        pytest.raises(RegistryAnswerError, match="no token in the answer") as caught,
    ):
        client.token(["repository:team/app:pull"])
    assert caught.value.remedy


@pytest.mark.parametrize("actions", [5, None, "push", {"push": 1}, True, [["push"]]])
def test_actions_that_are_no_list_grant_nothing(actions: object) -> None:
    entry = {"type": "repository", "name": "team/app", "actions": actions}
    token = read_token(jwt_with(sub="user", access=[entry]))
    assert token is not None
    assert token.allows("team/app", "push") is False


@pytest.mark.parametrize("time", [10**400, -(10**400), float("inf"), float("nan"), "soon", True, None, [1]])
def test_a_time_that_is_none_is_not_read(time: object) -> None:
    token = read_token(jwt_with(sub="user", exp=time, nbf=time, iat=time))
    assert token is not None
    assert (token.valid_from, token.valid_until) == (None, None)
    assert of_token(token) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
claim_names = st.sampled_from(["sub", "access", "exp", "nbf", "iat", "iss", "aud", "jti"])


@given(st.dictionaries(claim_names, json_values), json_values)
def test_any_claims_can_be_read(claims: dict[str, object], access: object) -> None:
    for body in (
        jwt_with(**claims),
        jwt_with(access=[{"type": "repository", "name": access, "actions": access}]),
    ):
        token = read_token(body)
        assert token is not None
        token.allows("team/app", "push")
        of_token(token)


@given(json_values, st.sampled_from([200, 401, 403, 404, 500]))
def test_any_body_can_be_explained(body: object, status: int) -> None:
    raw = json.dumps(body).encode()
    read_token(raw)
    assert error_for(status, raw, HOST, "reading").remedy
    assert error_for(status, json.dumps({"errors": body}).encode(), HOST, "reading").remedy


@pytest.mark.parametrize(
    "realm", ["https://", "https://[::1", "https://h:port/", "https://a\x7fb/", "https://xn--a/"]
)
def test_a_realm_that_is_no_address_is_a_typed_error(realm: str) -> None:
    with pytest.raises(RegistryAnswerError) as caught:
        _ = httpx.URL(parse(f'Bearer realm="{realm}"', HOST).realm).host
    assert caught.value.remedy


@given(st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_challenge_and_any_header_can_be_read(text: str) -> None:
    seconds_to_wait(text)
    for header in (text, f"Bearer {text}", f'Bearer realm="{text}"', f'Bearer realm="https://{text}"'):
        with contextlib.suppress(RegistryAnswerError):
            _ = httpx.URL(parse(header, HOST).realm).host


ODD_HEADERS = [
    {"Content-Length": "\u00b2".encode()}, {"Content-Length": b"9" * 30}, {"Content-Length": b"-1"},
    {"Date": b"x"}, {"Date": b"Mon, 99 Foo 99999 99:99:99 GMT"}, {"Date": b"\xff"}, {"Location": b"https://["},
    {"Location": b"\xff\xfe"}, {"Docker-Content-Digest": b"\xff"}, {"Content-Type": b"\xff;;"},
    {"Content-Encoding": b"gzip"}, {"Retry-After": b"9" * 400},
]  # fmt: skip


@pytest.mark.parametrize("headers", ODD_HEADERS)
@pytest.mark.parametrize("status", [200, 202, 206, 302, 429])
@pytest.mark.parametrize(
    "body", [b"null", b'{"manifests": [5]}', b'{"config": 5, "layers": null}', b"[" * 9999]
)
def test_odd_headers_and_manifests_end_in_findings_or_typed_errors(
    registry: Make, headers: dict[str, bytes], status: int, body: bytes
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, content=b'{"token": "opaque"}')
        raw = [(name.encode(), value) for name, value in headers.items()]
        return httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))

    with registry(answer) as client:
        assert not prove_push(client, Reference.parse(f"{HOST}/team/app:v1"), "sha256:" + "0" * 64).passed
        for call in (
            lambda: client.blob_size("team/app", "sha256:" + "0" * 64),
            lambda: client.put_blob("team/app", b"data"),
            lambda: client.start_upload("team/app"),
        ):
            with contextlib.suppress(RegistryError):
                call()
