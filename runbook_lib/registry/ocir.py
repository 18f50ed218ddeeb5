"""What is particular to Oracle's registry (OCIR): host forms, their aliases, user names.

Modelled on Oracle's documented behaviour (Registry prerequisites; "Pushing Images Using the Docker
CLI"), unverified against a live OCIR. Where sources conflict (users of the Default domain), both forms
pass the check here and the login itself decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from runbook_lib.errors import InvalidParameterError
from runbook_lib.registry.ocir_regions import REALM_DOMAINS, REGIONS
from runbook_lib.settings import Settings

BEARER_USERNAME = "BEARER_TOKEN"
"""User name of a login with a short-lived token (Oracle A-Team; likely)."""

Flavor = Literal["ocir", "distribution"]
_SHORT = re.compile(r"(?P<region>[a-z]{3}|[a-z]+(-[a-z]+)+-\d+)\.ocir\.io")
_LONG = re.compile(rf"(ocir|artifacts)\.(?P<region>[a-z]+(-[a-z]+)+-\d+)\.(oci\.)?({REALM_DOMAINS})")
_PART = re.compile(r"[^\s/:]+")
FEDERATED_DOMAIN = "oracleidentitycloudservice"
"""The identity domain of users that come from Oracle Identity Cloud Service (Oracle docs)."""


@dataclass(frozen=True, slots=True)
class OcirUser:
    """A parsed user name: Object Storage namespace, identity domain ("" for none), user."""

    namespace: str
    domain: str
    user: str


def _match(host: str) -> re.Match[str] | None:
    bare = host.lower().partition(":")[0]
    return _SHORT.fullmatch(bare) or _LONG.fullmatch(bare)


def is_ocir_host(host: str) -> bool:
    """True for every documented form of an OCIR host name, of any realm; a port is ignored."""
    return _match(host) is not None


def flavor_of(settings: Settings, host: str) -> Flavor:
    """Whose rules the registry follows: the parameter `registry_flavor`, or by host name for auto."""
    if settings.registry_flavor != "auto":
        return settings.registry_flavor
    return "ocir" if is_ocir_host(host) else "distribution"


def region_of(host: str) -> str:
    """The region identifier of an OCIR host, or "" where it is no OCIR host or the key is not known."""
    found = _match(host)
    if found is None:
        return ""
    region = found["region"]
    return region if "-" in region else REGIONS.get(region, "")


def aliases(host: str) -> tuple[str, ...]:
    """Other names of the same registry; a login written for one of them does not serve `host`.

    Docker's config is keyed by host name, so whoever mixes spellings gets 401 with a good token.
    """
    region = region_of(host)
    key = next((k for k, v in REGIONS.items() if v == region), "")
    if not key:
        return ()
    forms = (f"{key}.ocir.io", f"{region}.ocir.io", f"ocir.{region}.oci.oraclecloud.com")
    return tuple(form for form in forms if form != host.lower().partition(":")[0])


def parse_username(username: str) -> OcirUser:
    """Read `<namespace>/<user>` or `<namespace>/<domain>/<user>`.

    Raises:
        InvalidParameterError: any other form; a bare user name is the usual mistake.
    """
    fault = fault_of_username(username)
    if fault:
        raise InvalidParameterError(
            f"the user name {username!r} is not of a form that OCIR takes: {fault[0]}",
            where="parameter registry_username",
            remedy=fault[1],
        )
    parts = username.split("/")
    return OcirUser(parts[0], parts[1] if len(parts) == 3 else "", parts[-1])


def fault_of_username(username: str) -> tuple[str, str] | None:
    """What is wrong with the form of an OCIR user name, and the remedy; None where it may be good."""
    parts = username.split("/")
    form = (
        "write <namespace>/<user>, or <namespace>/<domain>/<user> for a user of an identity domain; the"
        " namespace is that of Object Storage (`oci os ns get`), not the tenancy's name"
    )
    if len(parts) == 1:
        mail = "an e-mail address alone; " if "@" in username else ""
        return f"{mail}the namespace in front is missing", form
    if not all(parts):
        twice = "a double slash" if "//" in username else "a slash at an end"
        return f"it has an empty part ({twice})", form
    if len(parts) > 3:
        return "it has more than three parts", form
    if not all(_PART.fullmatch(part) for part in parts):
        return "it holds a blank or a colon", form
    return None


def check_username(flavor: Flavor, username: str) -> None:
    """Refuse user names that cannot work at a registry of this flavor.

    Raises:
        InvalidParameterError: empty, with a control character or colon, or not of OCIR's form.
    """
    if not username:
        raise InvalidParameterError(
            "no user name is given",
            where="parameter registry_username",
            remedy="give the registry's user name",
        )
    if ":" in username or not username.isprintable():
        raise InvalidParameterError(
            "the user name holds a colon or a control or invisible character",
            where="parameter registry_username",
            remedy="give the user name alone; the token goes into registry_credential, by reference",
        )
    if flavor == "ocir" and username != BEARER_USERNAME:
        parse_username(username)
