"""Tokens after the distribution token specification (docs/content/spec/auth/jwt.md), signed EdDSA.

Two kinds: registry tokens, which distribution itself checks, and login tokens, which stand for a refresh
token or for OCIR's short-lived `BEARER_TOKEN` login and are only ever accepted by the token endpoint.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.double.keys import key_id

ANONYMOUS_PREFIX = "anon-"
_LOGIN_AUDIENCE = "registry-double-login"
# How far in the past an expired token ended; distribution forgives 60 s of clock skew.
_EXPIRED_SECONDS = 3600


@dataclass(frozen=True)
class Access:
    """One entry of a token's access list: `type` and `name` of a resource, and the actions allowed on it."""

    type: str
    name: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Bearer:
    """Whom a registry token was made for, and the repositories that were asked for with it."""

    subject: str
    asked: frozenset[str]

    @property
    def anonymous(self) -> bool:
        """Whether no login stands behind the token."""
        return self.subject.startswith(ANONYMOUS_PREFIX)


def anonymous_subject() -> str:
    """A fresh subject of the form `anon-…`, as credential-helper tests show it for OCIR."""
    return ANONYMOUS_PREFIX + secrets.token_hex(8)


class TokenIssuer:
    """Signs and reads tokens with one key; lifetimes are in seconds."""

    def __init__(self, key: Ed25519PrivateKey, issuer: str, service: str) -> None:
        self._key, self._issuer, self._service = key, issuer, service
        self._public = key.public_key()
        self._headers = {"kid": key_id(key)}

    def registry_token(
        self,
        subject: str,
        access: list[Access],
        lifetime: int,
        asked: tuple[str, ...] = (),
        *,
        expired: bool = False,
    ) -> str:
        """A token for distribution; `expired`: one that ended an hour ago; `asked`: the names asked for."""
        entries = [{"type": item.type, "name": item.name, "actions": list(item.actions)} for item in access]
        shift = -(lifetime + _EXPIRED_SECONDS) if expired else 0
        return self._sign(subject, self._service, lifetime, shift, access=entries, asked=list(asked))

    def login_token(self, subject: str, lifetime: int) -> str:
        """A token the token endpoint accepts in the place of the user's auth token."""
        return self._sign(subject, _LOGIN_AUDIENCE, lifetime, 0)

    def read_registry_token(self, token: str) -> Bearer | None:
        """The bearer of a token signed here, or None; an expired one is read too, distribution refuses it."""
        claims = self._read(token, self._service, verify_exp=False)
        return Bearer(str(claims["sub"]), frozenset(claims.get("asked", ()))) if claims else None

    def read_login_token(self, token: str) -> str | None:
        """The subject of a login token that is still valid, or None."""
        claims = self._read(token, _LOGIN_AUDIENCE, verify_exp=True)
        return str(claims["sub"]) if claims else None

    def _sign(self, subject: str, audience: str, lifetime: int, shift: int, **private: object) -> str:
        now = int(time.time()) + shift
        claims = {
            "iss": self._issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(16),
            **private,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers=self._headers)

    def _read(self, token: str, audience: str, *, verify_exp: bool) -> dict[str, Any] | None:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._public,
                algorithms=["EdDSA"],
                audience=audience,
                issuer=self._issuer,
                options={"verify_exp": verify_exp, "require": ["sub", "aud", "exp"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims
