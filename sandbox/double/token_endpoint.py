"""The token endpoint: GET with Basic auth and POST as OAuth2, after distribution's token and oauth documents.

BuildKit 0.34 (session/auth/authprovider) and containerd 2.4 (core/remotes/docker/auth) try POST first when
they have a secret, and fall back to GET on 401, 404 or 405; POST answers 405 when `accept_oauth_post` is off.
"""

import binascii
from base64 import b64decode
from datetime import UTC, datetime
from urllib.parse import parse_qs

from aiohttp import web

from sandbox.double.accounts import ScopeError, parse_scopes
from sandbox.double.config import User
from sandbox.double.replies import Reply
from sandbox.double.state import State
from sandbox.double.tokens import anonymous_subject

_MAX_FORM_BYTES = 64 * 1024
# Seconds; distribution's documents leave it open, docker clients keep refresh tokens for long.
_REFRESH_LIFETIME = 86400
_BAD_CREDENTIALS = "the username or the auth token is wrong"


class Credentials:
    """What a request brought: a user, nothing at all, or something that was wrong."""

    def __init__(self, user: User | None, *, wrong: bool = False) -> None:
        self.user, self.wrong = user, wrong


async def answer(request: web.BaseRequest, state: State, *, expired: bool) -> tuple[web.Response, str]:
    """The answer to a token request and the subject it was given for ('' when none was given).

    Raises KeyMaterialError if the file with the expected auth token cannot be read.
    """
    if request.method == "GET":
        credentials = _basic(request.headers.get("Authorization", ""), state)
        values, offline = request.query.getall("scope", []), request.query.get("offline_token") == "true"
        return _issue(state, credentials, values, offline=offline, expired=expired)
    if request.method == "POST" and state.switches.accept_oauth_post:
        form = await _form(request)
        if form is None:
            return Reply(413, f"a token form has at most {_MAX_FORM_BYTES} bytes").response(), ""
        credentials_or_none = _oauth(form, state)
        if credentials_or_none is None:
            return web.json_response({"error": "unsupported_grant_type"}, status=400), ""
        scopes, offline = [form.get("scope", "")], form.get("access_type") == "offline"
        return _issue(state, credentials_or_none, scopes, offline=offline, expired=expired)
    allowed = "GET, POST" if state.switches.accept_oauth_post else "GET"
    return Reply(405, "method not allowed", headers={"Allow": allowed}).response(), ""


def _issue(
    state: State, credentials: Credentials, values: list[str], *, offline: bool, expired: bool
) -> tuple[web.Response, str]:
    try:
        scopes = parse_scopes(values)
    except ScopeError as error:
        return Reply(400, str(error)).response(), ""
    if state.switches.refuse_delete_scope and any("delete" in scope.actions for scope in scopes):
        return Reply(400, "the action delete is not supported in a scope").response(), ""
    if credentials.wrong and not state.switches.anonymous_token_on_bad_credentials:
        challenge = {"WWW-Authenticate": 'Basic realm="registry"'}
        return Reply(401, _BAD_CREDENTIALS, headers=challenge).response(), ""
    user = credentials.user
    subject = user.username if user else anonymous_subject()
    access = [] if credentials.wrong else state.accounts.grant(user, scopes, state.switches)
    lifetime = state.config.token_lifetime
    asked = tuple(scope.name for scope in scopes)
    token = state.issuer.registry_token(subject, access, lifetime, asked, expired=expired)
    document: dict[str, object] = {
        "token": token,
        "access_token": token,
        "expires_in": lifetime,
        "issued_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "scope": " ".join(f"{item.type}:{item.name}:{','.join(item.actions)}" for item in access),
    }
    if user and offline:
        document["refresh_token"] = state.issuer.login_token(subject, _REFRESH_LIFETIME)
    return web.json_response(document, headers={"Cache-Control": "no-store"}), subject


def _basic(header: str, state: State) -> Credentials:
    if not header:
        return Credentials(None)
    scheme, _, encoded = header.partition(" ")
    try:
        username, separator, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return Credentials(None, wrong=True)
    if scheme.lower() != "basic" or not separator:
        return Credentials(None, wrong=True)
    user = state.accounts.log_in(username, password)
    return Credentials(user, wrong=user is None)


def _oauth(form: dict[str, str], state: State) -> Credentials | None:
    grant = form.get("grant_type")
    if grant == "password":
        user = state.accounts.log_in(form.get("username", ""), form.get("password", ""))
    elif grant == "refresh_token":
        user = state.accounts.refresh(form.get("refresh_token", ""))
    else:
        return None
    return Credentials(user, wrong=user is None)


async def _form(request: web.BaseRequest) -> dict[str, str] | None:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            return None
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}
