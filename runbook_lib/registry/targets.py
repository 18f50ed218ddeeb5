"""The registries that the settings name, and the repository in which a login is tried out."""

from __future__ import annotations

from dataclasses import dataclass

from runbook_lib import names
from runbook_lib.credentials import CredentialReference, SecretReader
from runbook_lib.errors import InvalidParameterError
from runbook_lib.registry.logins import Login
from runbook_lib.registry.ocir import Flavor, check_username, flavor_of
from runbook_lib.settings import Settings

DEFAULT_BELOW = "buildkit-runbook/hello"
_HUB = "docker.io"
_BELOW_HUB = "buildkit-runbook-hello"  # Docker Hub takes <namespace>/<name> and nothing deeper


@dataclass(frozen=True, slots=True)
class Target:
    """One registry to log in to; `reference` says where its token is, "" where none was given."""

    host: str
    username: str
    reference: str
    ca: str
    repository: str
    flavor: Flavor

    def login(self, read_secret: SecretReader | None = None) -> Login:
        """The login, its token fetched from where the reference says.

        Raises:
            InvalidParameterError: user name or reference missing or malformed.
            CredentialError: nothing usable is behind the reference.
        """
        check_username(self.flavor, self.username)
        if not self.reference:
            raise InvalidParameterError(
                f"it is not said where the token for {self.host} is",
                where="parameter registry_credential",
                remedy="give env:NAME, file:PATH, secret:NAMESPACE/NAME/KEY or prompt",
            )
        return Login(self.username, CredentialReference.parse(self.reference).resolve(read_secret))


def targets_of(settings: Settings) -> tuple[Target, ...]:
    """The main registry first, then `more_registries`.

    Raises:
        InvalidParameterError: no registry is given.
    """
    if not settings.registry:
        raise InvalidParameterError(
            "no registry is given", where="parameter registry", remedy="give its host, such as iad.ocir.io"
        )
    main = Target(
        settings.registry,
        settings.registry_username,
        settings.registry_credential,
        settings.registry_ca,
        repository_of(settings),
        flavor_of(settings, settings.registry),
    )
    more = [
        Target(
            r.registry,
            r.username,
            r.credential,
            r.ca,
            _default(r.registry, r.username),
            flavor_of(settings, r.registry),
        )
        for r in settings.more_registries
    ]
    return (main, *more)


def repository_of(settings: Settings) -> str:
    """The repository below the main registry: as given, else one in the user's own namespace."""
    return settings.repository or _default(settings.registry, settings.registry_username)


def _default(host: str, username: str) -> str:
    """The namespace is the first part of the user name; left out where it is no repository component."""
    namespace = username.partition("/")[0].lower()
    below = _BELOW_HUB if host and names.canonical_host(host) == _HUB else DEFAULT_BELOW
    try:
        return names.repository(f"{namespace}/{below}")
    except ValueError:
        return DEFAULT_BELOW
