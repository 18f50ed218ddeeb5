"""What GHCR, GitLab, ECR, Docker Hub and open registries answer, and what is said of the login then."""

from __future__ import annotations

import base64
from collections.abc import Callable

import httpx
import pytest

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import LoginRefusedError, PushDeniedError, RegistryError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.login import prove_login
from runbook_lib.registry.logins import Login
from runbook_lib.registry.targets import Target, repository_of, targets_of
from runbook_lib.settings_sources import load

HOST = "registry.example"
REPOSITORY = "team/app"
BEARER = {"WWW-Authenticate": f'Bearer realm="https://{HOST}/token",service="s"'}
BASIC = {"WWW-Authenticate": 'Basic realm="r"'}
LOGIN = Login("jdoe", SecretValue("secret-of-the-user"))
OURS = "Basic " + base64.b64encode(b"jdoe:secret-of-the-user").decode()
Answering = Callable[[httpx.Request], httpx.Response]
Make = Callable[..., RegistryClient]


@pytest.fixture(name="registry")
def registry_fixture(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a client of a registry whose every answer is given by a function."""

    def make(answer: Answering, login: Login | None = LOGIN) -> RegistryClient:
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: answer(request))
        return RegistryClient(HOST, login, timeout=2, attempts=1)

    return make


def says(status: int, code: str, message: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, json={"errors": [{"code": code, "message": message}]})


def with_token(token: Answering, upload: Answering) -> Answering:
    """/v2/ asks for a token; `token` is the endpoint, all else is `upload`."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/":
            return httpx.Response(401, headers=BEARER)
        return token(request) if request.url.path == "/token" else upload(request)

    return answer


def opaque(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"token": "opaque"})


def opened(_: httpx.Request) -> httpx.Response:
    return httpx.Response(202, headers={"Location": "/v2/team/app/blobs/uploads/1"})


def proven(client: RegistryClient) -> Findings:
    """The findings of a proof; the causes that are looked for are a single one."""
    with client:
        return prove_login(client, REPOSITORY, lambda _: [Finding(Status.WARN, "cause", "looked for")])


def looked_for_causes(found: Findings) -> bool:
    return any(f.subject == "cause" for f in found)


# -- a login that is refused with 403 ---------------------------------------------------------------
REFUSED = {
    "GHCR": (403, {"errors": [{"code": "DENIED", "message": "denied"}]}),
    "GitLab": (403, {"errors": [{"code": "DENIED", "message": "access forbidden"}]}),
    "no body of that form": (403, {}),
}


@pytest.mark.parametrize(("status", "body"), REFUSED.values(), ids=REFUSED)
def test_a_token_service_that_says_403_does_not_accept_the_login(
    registry: Make, status: int, body: dict[str, object]
) -> None:
    found = proven(registry(with_token(lambda _: httpx.Response(status, json=body), opened)))
    failure = next(iter(found))
    assert failure.status is Status.FAIL
    assert "the token service does not accept the login, or it may not use this repository" in failure.message
    assert "HTTP 403" in failure.message
    assert "expired" in failure.remedy
    assert "compartment" not in failure.remedy
    assert looked_for_causes(found)


def test_without_a_login_a_403_for_a_token_is_no_refused_login(registry: Make) -> None:
    with (
        registry(with_token(lambda _: says(403, "DENIED", "denied"), opened), None) as client,
        pytest.raises(PushDeniedError),
    ):
        client.token([f"repository:{REPOSITORY}:pull"])


def test_what_oci_does_not_tell_apart_is_not_called_a_refused_login(registry: Make) -> None:
    body = {"code": "NotAuthorizedOrNotFound", "message": "no"}
    with (
        registry(with_token(lambda _: httpx.Response(403, json=body), opened)) as client,
        pytest.raises(PushDeniedError, match="does not tell which"),
    ):
        client.token([f"repository:{REPOSITORY}:pull"])


def test_an_expired_login_is_named_as_such(registry: Make) -> None:
    """ECR, which uses Basic."""
    expired = "Your authorization token has expired. Reauthenticate and try again."

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/":
            return httpx.Response(401, headers=BASIC)
        return says(403, "DENIED", expired)

    found = proven(registry(answer))
    failure = next(iter(found))
    assert "the login has expired" in failure.message
    assert "log in again" in failure.remedy
    assert looked_for_causes(found)


def test_a_right_that_is_missing_at_the_upload_is_no_refused_login(registry: Make) -> None:
    found = proven(registry(with_token(opaque, lambda _: says(403, "DENIED", "requested access is denied"))))
    failure = next(iter(found))
    assert "this user may not do that" in failure.message
    assert "in OCI: " in failure.remedy.partition("`Allow group")[0]
    assert not looked_for_causes(found)


# -- a token without the right ----------------------------------------------------------------------
def test_a_401_for_want_of_a_right_is_no_refused_login(registry: Make) -> None:
    header = BEARER["WWW-Authenticate"] + ',scope="repository:team/app:pull,push",error="insufficient_scope"'
    asked: list[str] = []

    def upload(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return says(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=header)

    found = proven(registry(with_token(opaque, upload)))
    failure = next(iter(found))
    assert failure.status is Status.FAIL
    assert "does not carry the right" in failure.message
    assert "right to push" in failure.remedy
    assert not looked_for_causes(found)
    assert len(asked) == 2, "a fresh token is tried, and no more"


@pytest.mark.parametrize("error", ['error="invalid_token"', ""])
def test_another_401_stays_a_refused_login(registry: Make, error: str) -> None:
    header = f"{BEARER['WWW-Authenticate']},{error}".rstrip(",")
    with (
        registry(with_token(opaque, lambda _: says(401, "UNAUTHORIZED", WWW_Authenticate=header))) as client,
        pytest.raises(LoginRefusedError, match="does not accept the login"),
    ):
        client.start_upload(REPOSITORY)


# -- a registry that asks for no login at /v2/ ------------------------------------------------------
@pytest.mark.parametrize("cancel", [204, 401])
def test_an_open_registry_proves_nothing_of_the_login(registry: Make, cancel: int) -> None:
    """Also where it wants the login for the cancel alone: that of an upload is not held against it."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(cancel, headers=BASIC)
        seen.append(request.headers.get("Authorization", ""))
        return httpx.Response(200) if request.url.path == "/v2/" else opened(request)

    found = proven(registry(answer))
    assert [f.status for f in found] == [Status.WARN, Status.OK]
    first = next(iter(found))
    assert first.message == "the registry asks for no login: nothing is proven of it"
    assert first.remedy
    assert set(seen) == {""}, "a login is not sent unasked"


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("good", [True, False])
def test_a_login_that_is_asked_for_at_the_push_alone_is_sent_then(
    registry: Make, kind: str, good: bool
) -> None:
    expected = OURS if kind == "basic" else "Bearer opaque"
    sent: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        given = request.headers.get("Authorization", "")
        if request.url.path == "/v2/":
            return httpx.Response(200)
        if request.url.path == "/token":
            return opaque(request) if given == OURS else httpx.Response(401)
        sent.append((request.method, given))
        if given != expected or not good:
            return says(401, "UNAUTHORIZED", **({k.replace("-", "_"): v for k, v in asks.items()}))
        return opened(request)

    asks = BASIC if kind == "basic" else BEARER
    found = proven(registry(answer))
    assert sent[:2] == [("POST", ""), ("POST", expected)]
    first = next(iter(found))
    if good:
        assert found.worst is Status.OK
        assert first.message == "jdoe is accepted"
        assert all(given == expected for _, given in sent[1:])
    else:
        assert "does not accept the login" in first.message
        assert len(sent) == 2, "one more try, and no more"


def test_a_login_that_was_sent_and_refused_is_not_sent_again(registry: Make) -> None:
    """Each try is a failed login, and accounts lock."""
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v2/":
            sent.append(request.headers.get("Authorization", ""))
        return httpx.Response(401, headers=BASIC)

    assert not proven(registry(answer)).passed
    assert sent == [OURS]


def test_a_login_is_not_sent_where_another_host_asks_for_it(registry: Make) -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("Authorization", "")))
        if request.url.path == "/v2/":
            return httpx.Response(200)
        if request.url.host == HOST:
            return httpx.Response(307, headers={"Location": "https://storage.example/blob"})
        return httpx.Response(401, headers=BASIC)

    with registry(answer) as client, pytest.raises(LoginRefusedError):
        client.blob(REPOSITORY, "sha256:" + "0" * 64)
    assert {given for _, given in seen} == {""}
    assert len(seen) == 3


def test_a_login_is_asked_for_in_a_way_that_is_not_known(registry: Make) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        status = 200 if request.url.path == "/v2/" else 401
        return httpx.Response(status, headers={"WWW-Authenticate": "Negotiate"})

    with registry(answer) as client, pytest.raises(RegistryError, match="not known here") as caught:
        client.start_upload(REPOSITORY)
    assert caught.value.remedy


# -- the repository in which a login is tried out ---------------------------------------------------
HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "docker.io:443")
ELSEWHERE = ("ghcr.io", "docker.io.example")


@pytest.mark.parametrize(
    ("host", "repository"),
    [
        *((host, "jdoe/buildkit-runbook-hello") for host in HUB),
        *((host, "jdoe/buildkit-runbook/hello") for host in ELSEWHERE),
    ],
)
def test_the_hub_takes_two_components(host: str, repository: str) -> None:
    given = {"registry": host, "registry_username": "JDoe"}
    more = {
        "registry": "more.example" if host in HUB else "docker.io",
        "username": "other",
        "credential": "env:T",
    }
    settings = load({**given, "more_registries": [more]}, environ={})
    assert repository_of(settings) == repository
    first, second = targets_of(settings)
    assert isinstance(first, Target)
    assert first.repository == repository
    below = "buildkit-runbook/hello" if host in HUB else "buildkit-runbook-hello"
    assert second.repository == f"other/{below}"


def test_a_repository_that_is_given_counts() -> None:
    given = {"registry": "docker.io", "registry_username": "jdoe", "repository": "acme/own/path"}
    assert repository_of(load(given, environ={})) == "acme/own/path"
