"""Proof of a login: the real token flow with push scope, then an upload that is opened and given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runbook_lib.errors import LoginRefusedError, PushDeniedError, RegistryError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.explain import NOTEBOOK
from runbook_lib.registry.token import Token

Explain = Callable[[RegistryClient], Sequence[Finding]]
"""Looks for the causes of a refusal; what it finds stands behind the failure."""


def prove_login(client: RegistryClient, repository: str, explain: Explain | None = None) -> Findings:
    """Findings for one registry: the token, its rights, and the upload that decides.

    An anonymous token passes for a success in HTTP; here it fails. Where tokens are opaque or the
    registry uses Basic, only the upload counts; where the login is never asked for, nothing is proven of
    it. Nothing stays on the registry.
    """
    subject = f"login at {client.host}"
    if client.login is None:
        missing = LoginRefusedError(
            "there is no login for this host",
            where=client.host,
            remedy="run this notebook's apply; the key in the docker config is the exact host name",
            notebook=NOTEBOOK,
        )
        return _refused(missing, subject, client, explain)
    scopes = [f"repository:{repository}:pull,push"]
    try:
        _require_push(client, client.token(scopes), repository)
        location = client.start_upload(repository)
        # Asked again, for some registries ask for the login at the upload alone; a cancel proves nothing.
        accepted = _accepted(client, client.login.username, client.token(scopes), subject)
        kept = "" if client.cancel_upload(repository, location) else _KEPT
    except LoginRefusedError as e:
        return _refused(e, subject, client, explain)
    except RegistryError as e:
        return Findings([Finding.of_error(e, subject)])
    return Findings([
        accepted,
        Finding(Status.OK, f"push to {client.host}/{repository}", f"an upload was opened and given up{kept}"),
    ])  # fmt: skip


_KEPT = "; the registry did not confirm the cancel, an empty session will expire by itself"


def _accepted(client: RegistryClient, username: str, token: Token | None, subject: str) -> Finding:
    """Of the login, once an upload was opened."""
    if client.challenge() is None:
        unasked = "the registry asks for no login: nothing is proven of it"
        remedy = "check the host; if it is the right one, everybody who reaches it may push to it"
        return Finding(Status.WARN, subject, unasked, "", remedy)
    return Finding(Status.OK, subject, f"{username} is accepted", _seen(token))


def _refused(
    error: LoginRefusedError, subject: str, client: RegistryClient, explain: Explain | None
) -> Findings:
    """The failure, the likeliest cause in front of its remedy, then one finding for each cause."""
    causes = list(explain(client)) if explain else []
    failure = Finding.of_error(error, subject)
    if causes:
        first = causes[0]
        remedy = f"likely: {first.message}; {first.remedy}. Else: {failure.remedy}"
        failure = replace(failure, remedy=remedy)
    return Findings([failure, *causes])


def _require_push(client: RegistryClient, token: Token | None, repository: str) -> None:
    if token is not None and token.allows(repository, "push") is False:
        raise PushDeniedError(
            "the login works, but the token does not carry push",
            where=f"{client.host}/{repository}",
            remedy="give this user the right to push to it, or give a repository in the own namespace; in"
            " OCI: a policy such as `Allow group <group> to manage repos in compartment <compartment>`",
            notebook=NOTEBOOK,
        )


def _seen(token: Token | None) -> str:
    if token is None:
        return "the registry uses Basic authentication"
    return f"token for subject {token.subject!r}" if token.subject else "an opaque token; the upload decides"
