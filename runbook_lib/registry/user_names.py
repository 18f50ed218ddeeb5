"""Other spellings of a refused user name, tried only where the reader asks: every try is a failed login."""

from __future__ import annotations

from runbook_lib.errors import RegistryError
from runbook_lib.findings import Finding, Status
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.logins import Login
from runbook_lib.registry.ocir import FEDERATED_DOMAIN
from runbook_lib.registry.targets import Target

MOST = 3
_tried: set[tuple[str, str, int]] = set()  # host, name, hash of the token: asked once in a process


def candidates(username: str, repository: str) -> tuple[str, ...]:
    """At most MOST other spellings of an OCIR user name, likeliest first."""
    parts = [part for part in username.split("/") if part]
    if not parts:
        return ()
    own = repository.partition("/")[0]
    namespace = parts[0].lower() if len(parts) > 1 else own
    user = parts[-1]
    names = [
        f"{namespace}/{FEDERATED_DOMAIN}/{user}",
        f"{namespace}/{user}",
        f"{own}/{FEDERATED_DOMAIN}/{user}",
        f"{own}/{user}",
        f"{namespace}/default/{user}",
    ]
    wanted = [name for name in dict.fromkeys(names) if name != username and not name.startswith("/")]
    return tuple(wanted[:MOST])


def try_candidates(target: Target, login: Login, timeout: float) -> Finding:
    """Ask the token endpoint with each spelling, one request each and no repeats, until one is accepted.

    A name that was asked for with the same token in this process is not asked for again: accounts lock.
    """
    subject = f"other user names at {target.host}"
    asked: list[str] = []
    for name in candidates(login.username, target.repository):
        key = (target.host, name, hash(login.secret.reveal()))
        if key in _tried:
            continue
        _tried.add(key)
        asked.append(name)
        with RegistryClient(target.host, Login(name, login.secret), target.ca, timeout, attempts=1) as client:
            try:
                token = client.token([f"repository:{target.repository}:pull,push"])
            except RegistryError as e:
                if "HTTP 429" in e.what:
                    return Finding(
                        Status.WARN, subject, f"stopped after {len(asked)}: {e.what}", "", e.remedy
                    )
                continue
        if token is not None and token.subject:
            done = f"{name} is accepted with this token"
            return Finding(
                Status.WARN, subject, done, "", f"set registry_username to {name}, then apply again"
            )
    tried = f"tried {', '.join(asked)}: none is accepted" if asked else "all were tried before"
    return Finding(Status.WARN, subject, tried, "", "check the token; set try_user_names to false again")
