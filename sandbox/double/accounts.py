"""Who may do what: logins, scopes, and the access list a token gets."""

import hmac
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sandbox.double.config import DoubleConfig, Switches, User
from sandbox.double.tokens import Access, TokenIssuer

# The user name of OCIR's login with a short-lived token (Oracle A-Team; many public scripts).
BEARER_USERNAME = "BEARER_TOKEN"


class ScopeError(ValueError):
    """A scope is not of the form `<type>:<name>:<action>,…`."""


@dataclass(frozen=True)
class Scope:
    """What a client asks for: a resource type, a name (colons allowed) and actions."""

    type: str
    name: str
    actions: tuple[str, ...]


def parse_scopes(values: list[str]) -> list[Scope]:
    """The scopes of the query or form; each value may hold several, separated by spaces.

    Grammar: distribution, docs/content/spec/auth/scope.md. Raises ScopeError that quotes the scope at fault.
    """
    scopes = []
    for text in (part for value in values for part in value.split()):
        kind, separator, rest = text.partition(":")
        name, second, actions = rest.rpartition(":")
        if not (separator and second and kind and name):
            raise ScopeError(f"scope {text!r} is not of the form repository:<name>:<action>[,<action>]")
        scopes.append(Scope(kind, name, tuple(action for action in actions.split(",") if action)))
    return scopes


class Accounts:
    """The logins of the configuration and what each may do."""

    def __init__(self, config: DoubleConfig, issuer: TokenIssuer) -> None:
        self._users = {user.username: user for user in config.users}
        self._anonymous_pull = config.anonymous_pull
        self._issuer = issuer

    def find(self, username: str) -> User | None:
        """The user of this exact name."""
        return self._users.get(username)

    def log_in(self, username: str, password: str) -> User | None:
        """The user whose auth token this is, or None; a stray newline in the password makes it wrong.

        Raises KeyMaterialError if the expected auth token cannot be read.
        """
        if username == BEARER_USERNAME:
            return self.refresh(password)
        user = self._users.get(username)
        if user is None or not hmac.compare_digest(user.auth_token().encode(), password.encode()):
            return None
        return user

    def refresh(self, login_token: str) -> User | None:
        """The user a login or refresh token was made for, while it is valid."""
        subject = self._issuer.read_login_token(login_token)
        return self._users.get(subject) if subject else None

    def grant(self, user: User | None, scopes: list[Scope], switches: Switches) -> list[Access]:
        """The part of `scopes` the user (None: anonymous) may have; resources left without actions go."""
        granted = []
        for scope in scopes:
            actions = tuple(action for action in scope.actions if self._allows(user, scope, action, switches))
            if actions:
                granted.append(Access(scope.type, scope.name, actions))
        return granted

    def _allows(self, user: User | None, scope: Scope, action: str, switches: Switches) -> bool:
        if scope.type == "registry":
            return user is not None and scope.name == "catalog" and not switches.no_catalog
        if scope.type != "repository":
            return False
        if action == "pull" and _any_match(self._anonymous_pull, scope.name):
            return True
        if user is None:
            return False
        rights = user.effective_rights
        patterns = {"pull": rights.pull, "push": rights.push, "delete": rights.delete}
        return _any_match(patterns.get(action, ()), scope.name)


def _any_match(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
