"""Asking the token endpoint (distribution, token authentication and OAuth2 specs)."""

from __future__ import annotations

import base64
from urllib.parse import urlencode

import httpx

from runbook_lib.errors import AnonymousTokenError, RegistryAnswerError
from runbook_lib.registry.challenge import Challenge
from runbook_lib.registry.explain import NOTEBOOK, error_for
from runbook_lib.registry.logins import Login
from runbook_lib.registry.token import Token, read_token
from runbook_lib.registry.transport import Answer, Transport

CLIENT_ID = "buildkit-runbook"


def fetch_token(
    transport: Transport, challenge: Challenge, login: Login | None, scopes: tuple[str, ...]
) -> Token:
    """A token for the scopes, as the login or anonymously.

    Raises:
        AnonymousTokenError: a login was given and the token says that nobody stands behind it.
        LoginRefusedError, PushDeniedError, RegistryAnswerError: another answer than a token.
    """
    where = f"{transport.host}, token endpoint {httpx.URL(challenge.realm).host}"
    answer = _ask(transport, challenge, login, scopes)
    if answer.status != 200:
        doing, given = "asking for a token", login is not None
        raise error_for(answer.status, answer.body, where, doing, answer.headers, of_login=given)
    token = read_token(answer.body)
    if token is None:
        raise RegistryAnswerError(
            "asking for a token: HTTP 200, but there is no token in the answer",
            where=where,
            remedy="check that the host is a registry and that no proxy answers in its place",
        )
    if login is not None and token.is_anonymous:
        raise AnonymousTokenError(
            f"HTTP 200, but the token is anonymous: the login of {login.username!r} was not accepted",
            where=transport.host,
            remedy="check the user name's form and the token (no newline; in OCI: the auth token, not the"
            " console password)",
            notebook=NOTEBOOK,
        )
    return token


def _ask(transport: Transport, challenge: Challenge, login: Login | None, scopes: tuple[str, ...]) -> Answer:
    if login is not None and login.is_identity_token:
        form = {
            "grant_type": "refresh_token",
            "service": challenge.service,
            "client_id": CLIENT_ID,
            "scope": " ".join(scopes),
            "refresh_token": login.secret.reveal(),
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return transport.send("POST", challenge.realm, kind, urlencode(form).encode())
    query: dict[str, str | list[str]] = {"service": challenge.service, "scope": list(scopes)}
    headers = {}
    if login is not None:
        query["account"] = login.username
        pair = f"{login.username}:{login.secret.reveal()}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    url = httpx.URL(challenge.realm).copy_merge_params(query)
    return transport.send("GET", str(url), headers)
