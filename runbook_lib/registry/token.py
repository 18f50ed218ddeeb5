"""Registry tokens: what can be read in them without trusting them, and how they are asked for."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import jwt

from runbook_lib.credentials import SecretValue

ANONYMOUS_PREFIX = "anon-"
"""Subject of OCIR's anonymous tokens, as credential-helper tests show it (likely)."""


@dataclass(frozen=True, slots=True)
class Token:
    """A registry token. `subject` and `access` are None where it is opaque (not a JWT, or without them).

    `access` maps a repository to the set of actions granted. `valid_from` and `valid_until` are seconds of
    Unix time, as the token says.
    """

    value: SecretValue
    subject: str | None = None
    access: dict[str, frozenset[str]] | None = None
    valid_from: float | None = None
    valid_until: float | None = None

    @property
    def is_anonymous(self) -> bool:
        """True when the token says of itself that no user stands behind it."""
        return self.subject is not None and (not self.subject or self.subject.startswith(ANONYMOUS_PREFIX))

    def allows(self, repository: str, action: str) -> bool | None:
        """Whether the token carries the action; None where it does not tell."""
        return None if self.access is None else action in self.access.get(repository, frozenset())


def read_token(body: bytes) -> Token | None:
    """The token of a token endpoint's answer, or None where there is none.

    The claims are read without checking the signature: they only explain, the registry decides.
    """
    try:
        document = json.loads(body)
        value = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        return None  # also a text that no header can carry (RFC 6750 allows less still)
    claims = _claims(value)
    subject = claims.get("sub") if isinstance(claims.get("sub"), str) else None
    begins = max((t for t in map(_seconds, (claims.get("nbf"), claims.get("iat"))) if t), default=None)
    secret = SecretValue(value, passing=True)
    return Token(secret, subject, _access(claims.get("access")), begins, _seconds(claims.get("exp")))


def _seconds(value: object) -> float | None:
    """A time of a claim; None where it is no number, or none that is a time."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer that no float holds
        return None


def _claims(value: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(value, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return {}
    return claims


def _access(entries: object) -> dict[str, frozenset[str]] | None:
    if not isinstance(entries, list):
        return None
    found: dict[str, frozenset[str]] = {}
    for entry in entries:
        if isinstance(entry, dict) and entry.get("type") == "repository":
            actions = entry.get("actions")
            name = str(entry.get("name"))
            granted = actions if isinstance(actions, list) else []
            found[name] = found.get(name, frozenset()) | frozenset(map(str, granted))
    return found
