"""Why a login is refused: the likely causes, read from what was given and stored; no request is made here.

User name and token rules are Oracle's documentation ("Pushing Images Using the Docker CLI") and public
reports, unverified against a live OCIR. A registry never says which part of a login is wrong.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from dataclasses import dataclass

from runbook_lib.findings import Finding, Status
from runbook_lib.registry.config_document import Document, host_of, key_of
from runbook_lib.registry.logins import Login
from runbook_lib.registry.ocir import BEARER_USERNAME, Flavor, fault_of_username, region_of
from runbook_lib.registry.token import Token

_AGAIN = "store the token alone, as it was shown: `printf %s` writes no line end, `echo` does"
MOST_SKEW = 300.0  # seconds; what OCI's signed requests and most token checks forgive at most


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One cause. `certain`: worth saying before anything is refused; the others fit good logins, too."""

    cause: str
    remedy: str
    certain: bool = True

    def as_finding(self, subject: str) -> Finding:
        """A warning: what the registry thinks of the login is not known from this."""
        return Finding(Status.WARN, subject, self.cause, "", self.remedy)


def suspicions(
    host: str, flavor: Flavor, login: Login | None, document: Document, repository: str = ""
) -> list[Suspicion]:
    """What is wrong with the login of `host`, most telling first; `document` is docker's config file."""
    found = list(_of_aliases(host, login, document))
    if login is None or login.is_identity_token:
        return found
    found += _of_token(login)
    if flavor == "ocir":
        found += _of_oci_token(login)
    if flavor == "ocir" and login.username != BEARER_USERNAME:
        found += _of_username(login.username, repository)
    return found


def of_clock(skew: float | None, host: str) -> list[Suspicion]:
    """`skew`: seconds that the registry's clock (its Date header) is ahead of this machine's."""
    if skew is None or abs(skew) <= MOST_SKEW:
        return []
    way = "behind" if skew > 0 else "ahead of"
    return [
        Suspicion(
            f"this machine's clock is {abs(skew) / 60:.0f} minutes {way} that of {host}",
            "set the clock (`timedatectl set-ntp true`, or `date -u`): tokens and certificates are only"
            " good for a span of time",
        )
    ]


def of_token(token: Token | None) -> list[Suspicion]:
    """A token that is not good at this hour; the registry's own clock then disagrees with one of ours."""
    if token is None:
        return []
    now = time.time()
    remedy = "set this machine's clock; if it is right, the clock of the registry's token service is wrong"
    if token.valid_from is not None and token.valid_from > now + MOST_SKEW:
        late = (token.valid_from - now) / 60
        return [Suspicion(f"the token is only good in {late:.0f} minutes, by this machine's clock", remedy)]
    if token.valid_until is not None and token.valid_until < now - MOST_SKEW:
        past = (now - token.valid_until) / 60
        return [Suspicion(f"the token ended {past:.0f} minutes before it came, by this clock", remedy)]
    return []


def _of_aliases(host: str, login: Login | None, document: Document) -> list[Suspicion]:
    """docker goes by the exact host name: a login stored under another name of the registry is not found."""
    auths = document.get("auths", {})
    region = region_of(host)
    own = key_of(document, host)
    others = [key for key in auths if region and key != own and region_of(host_of(key)) == region]
    if not others:
        return []
    names = ", ".join(host_of(key) for key in others)
    if login is None:
        return [
            Suspicion(
                f"a login is stored for {names}, another name of the same registry; docker and BuildKit"
                f" look for {host} and do not find it",
                f"log in under {host}, too (apply does it), or use the stored name in registry and images",
            )
        ]
    differ = [key for key in others if auths[key].get("auth") != auths.get(own, {}).get("auth")]
    if not differ or login.username == BEARER_USERNAME:
        return []
    return [
        Suspicion(
            f"a different login is stored for {', '.join(map(host_of, differ))}, which is the same registry",
            f"if that one works, give the same user name and token for {host}",
            certain=False,
        )
    ]


def _of_token(login: Login) -> list[Suspicion]:
    secret = login.secret.reveal()
    if secret != secret.strip():
        ends = "a line end" if secret.rstrip("\r\n") != secret else "a blank"
        return [Suspicion(f"the token begins or ends with {ends}, which belongs to no token", _AGAIN)]
    if len(secret) > 1 and secret[0] == secret[-1] and secret[0] in "\"'`":
        return [Suspicion("the token stands in quotes; they were taken as a part of it", _AGAIN)]
    if re.match(r"(basic|bearer) ", secret, re.IGNORECASE):
        return [Suspicion("the token begins with the name of a scheme (Basic, Bearer)", _AGAIN)]
    if _is_docker_auth(secret, login.username):
        return [Suspicion("the token is docker's `auth` value (base64 of user and token)", _AGAIN)]
    return []


def _of_oci_token(login: Login) -> list[Suspicion]:
    """What is wrong at OCIR alone: other registries take JWTs as passwords."""
    secret = login.secret.reveal()
    if secret.startswith("ocid1."):
        return [Suspicion("what is given as the token is an OCID, the token's name", _AGAIN)]
    if secret.startswith("eyJ") and secret.count(".") == 2 and login.username != BEARER_USERNAME:
        remedy = f"for a short-lived token the user name is {BEARER_USERNAME}; auth_method=oci sets it"
        return [
            Suspicion("the token is a JWT, a short-lived token, and no auth token", remedy, certain=False)
        ]
    return []


def _is_docker_auth(secret: str, username: str) -> bool:
    try:
        return base64.b64decode(secret, validate=True).startswith(f"{username}:".encode())
    except (binascii.Error, ValueError):
        return False


def _of_username(username: str, repository: str) -> list[Suspicion]:
    fault = fault_of_username(username)
    if fault:
        return [Suspicion(f"user name {username!r}: {fault[0]}", fault[1])]
    namespace, *domain, user = username.split("/")
    found: list[Suspicion] = []
    if namespace != namespace.lower() or re.search(r"[^a-z0-9]", namespace):
        found.append(
            Suspicion(
                f"{namespace!r} looks like a tenancy's name; the first part is the Object Storage namespace,"
                " which has small letters and digits only",
                "`oci os ns get` prints it; the console shows it on the tenancy's page",
                certain=namespace != namespace.lower(),
            )
        )
    theirs = repository.partition("/")[0]
    if theirs and theirs != namespace.lower():
        found.append(
            Suspicion(
                f"the user's namespace is {namespace}, the repository's is {theirs}",
                "mostly both are the same: check which of them is right",
                certain=False,
            )
        )
    if not domain:
        found.append(
            Suspicion(
                "the user name has no identity domain, which federated users need",
                f"try {namespace}/oracleidentitycloudservice/{user}, or the user's own domain in its place"
                " (try_user_names=true tries it, at most 3 spellings)",
                certain=False,
            )
        )
    return found
