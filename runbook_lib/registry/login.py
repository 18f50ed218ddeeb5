"""Proof of a login: the real token flow with push scope, then an upload that is opened and given up."""

from __future__ import annotations

from runbook_lib.errors import LoginRefusedError, PushDeniedError, RegistryError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.explain import NOTEBOOK
from runbook_lib.registry.token import Token


def prove_login(client: RegistryClient, repository: str) -> Findings:
    """Findings for one registry: the token, its rights, and the upload that decides.

    An anonymous token passes for a success in HTTP; here it fails. Where tokens are opaque or the
    registry uses Basic, only the upload counts. Nothing stays on the registry.
    """
    subject = f"login at {client.host}"
    if client.login is None:
        missing = LoginRefusedError(
            "there is no login for this host",
            where=client.host,
            remedy="run this notebook's apply; the key in the docker config is the exact host name",
            notebook=NOTEBOOK,
        )
        return Findings([Finding.of_error(missing, subject)])
    try:
        token = client.token([f"repository:{repository}:pull,push"])
        _require_push(client, token, repository)
        kept = "" if client.cancel_upload(repository, client.start_upload(repository)) else _KEPT
    except RegistryError as e:
        return Findings([Finding.of_error(e, subject)])
    return Findings([
        Finding(Status.OK, subject, f"{client.login.username} is accepted", _seen(token)),
        Finding(Status.OK, f"push to {client.host}/{repository}", f"an upload was opened and given up{kept}"),
    ])  # fmt: skip


_KEPT = "; the registry did not confirm the cancel, an empty session will expire by itself"


def _require_push(client: RegistryClient, token: Token | None, repository: str) -> None:
    if token is not None and token.allows(repository, "push") is False:
        raise PushDeniedError(
            "the login works, but the token does not carry push",
            where=f"{client.host}/{repository}",
            remedy="give this user the right to manage repositories (`Allow group <group> to manage repos in"
            " compartment <compartment>`), or give a repository in the own namespace",
            notebook=NOTEBOOK,
        )


def _seen(token: Token | None) -> str:
    if token is None:
        return "the registry uses Basic authentication"
    return f"token for subject {token.subject!r}" if token.subject else "an opaque token; the upload decides"
