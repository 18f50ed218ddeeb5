"""A login and its docker form: base64 of `username:token`, split at the first colon."""

from __future__ import annotations

import base64
import binascii
import contextlib
from dataclasses import dataclass

from runbook_lib import redaction
from runbook_lib.credentials import CredentialReference, SecretValue
from runbook_lib.errors import CredentialError, DockerConfigError, MalformedCredentialError
from runbook_lib.settings import Settings

IDENTITY_USER = "<token>"
"""User name by which docker's credential helpers mark an identity (refresh) token."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and its secret; `secret` is an auth token, or a refresh token for IDENTITY_USER."""

    username: str
    secret: SecretValue

    @property
    def is_identity_token(self) -> bool:
        """True when the secret is an OAuth refresh token and not a password."""
        return self.username == IDENTITY_USER

    def same_as(self, other: Login | None) -> bool:
        """True when both hold the same user name and secret."""
        return (
            other is not None
            and self.username == other.username
            and self.secret.reveal() == other.secret.reveal()
        )


def encode_auth(login: Login) -> str:
    """The `auth` value of docker's config file. Colons in the token are fine, in the user name not.

    Raises:
        MalformedCredentialError: the user name holds a colon, at which docker would split too early.
    """
    if ":" in login.username or not login.username:
        raise MalformedCredentialError(
            "the user name is empty or holds a colon; docker's file cannot carry that",
            where="registry login",
            remedy="give the user name alone in registry_username",
        )
    value = base64.b64encode(f"{login.username}:{login.secret.reveal()}".encode()).decode()
    redaction.learn(value)
    return value


def decode_auth(value: str, where: str) -> Login:
    """Read an `auth` value; `where` names file and host for the error.

    Raises:
        DockerConfigError: not base64 of `username:token`.
    """
    try:
        # docker pads some old entries with NUL bytes.
        plain = base64.b64decode(value, validate=True).decode().rstrip("\x00")
    except (binascii.Error, ValueError):
        plain = ""
    username, colon, secret = plain.partition(":")
    if not colon or not username:
        raise DockerConfigError(
            "its auth value is not base64 of username:token",
            where=where,
            remedy="remove this entry and run this notebook again: it writes the right form",
            notebook="02_configure_auth.ipynb",
        )
    redaction.learn(value)
    return Login(username, SecretValue(secret))


def learn_logins(settings: Settings) -> None:
    """Let `redact` know the logins of these settings that can be read here without asking anybody.

    What is missing or malformed is passed over: the step that needs it says so, with the remedy.
    """
    given = [(settings.registry_username, settings.registry_credential)]
    given += [(more.username, more.credential) for more in settings.more_registries]
    for username, text in given:
        reference = CredentialReference.parse(text) if text else None
        if reference is not None and reference.kind in ("env", "file"):
            with contextlib.suppress(CredentialError):
                redaction.learn_login(username, reference.resolve().reveal())
