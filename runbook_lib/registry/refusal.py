"""After a refusal: all that the login, docker's file, the clocks and, on request, other user names tell."""

from __future__ import annotations

from runbook_lib.findings import Finding
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.config_document import Document
from runbook_lib.registry.login_doctor import of_clock, of_token, suspicions
from runbook_lib.registry.targets import Target
from runbook_lib.registry.user_names import try_candidates


def causes_of_refusal(
    target: Target, client: RegistryClient, document: Document, *, try_for: float = 0.0
) -> list[Finding]:
    """Warnings, the likeliest cause first. `client` is the one that was refused.

    `try_for`: seconds that each try of another user name may take; 0: none is tried.
    """
    found = [
        *of_clock(client.clock_skew, target.host),
        *of_token(client.last_token),
        *suspicions(target.host, target.flavor, client.login, document, target.repository),
    ]
    causes = [s.as_finding(f"cause at {target.host}") for s in found]
    if try_for and client.login is not None and target.flavor == "ocir":
        causes.insert(0, try_candidates(target, client.login, try_for))
    return causes
