"""The WWW-Authenticate challenge of a registry (RFC 7235; distribution, token authentication spec)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import httpx

from runbook_lib.errors import RegistryAnswerError

# name="quoted \"text\"" or name=token
_PARAMETER = re.compile(r'([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?:^|,)\s*(Bearer|Basic)(?=\s|,|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Challenge:
    """How the registry wants logins: `basic`, or `bearer` from the token endpoint `realm`."""

    scheme: Literal["basic", "bearer"]
    realm: str = ""
    service: str = ""
    scope: str = ""
    error: str = ""


def parse(header: str, host: str) -> Challenge:
    """Read the header; of several schemes Bearer is preferred, as docker does.

    Raises:
        RegistryAnswerError: neither Basic nor Bearer, or a realm that is not an https address (a login is
            never sent in clear).
    """
    # Blank the quoted parts first, so that a comma or a scheme's name inside them is not seen.
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + "x" * (len(m.group()) - 2) + '"', header)
    found = {m.group(1).lower(): m for m in _SCHEME.finditer(bare)}
    if "bearer" not in found and "basic" in found:
        return Challenge("basic")
    if "bearer" not in found:
        raise RegistryAnswerError(
            f"it asks for a login in a way that is not known here ({header[:80] or 'no challenge'!r})",
            where=host,
            remedy="check that the host is a container registry; only Basic and Bearer are understood",
        )
    start = found["bearer"].end()
    end = min((m.start() for m in found.values() if m.start() >= start), default=len(header))
    values = {
        m.group(1).lower(): re.sub(r"\\(.)", r"\1", m.group(2)) if m.group(2) is not None else m.group(3)
        for m in _PARAMETER.finditer(header[start:end])
    }
    realm = values.get("realm", "")
    if not _is_https(realm):
        raise RegistryAnswerError(
            f"its token endpoint {realm[:80]!r} is not an https address; no login is sent there",
            where=host,
            remedy="the registry's operator must set an https realm",
        )
    return Challenge(
        "bearer", realm, values.get("service", ""), values.get("scope", ""), values.get("error", "")
    )


def _is_https(realm: str) -> bool:
    try:
        return realm.startswith("https://") and bool(httpx.URL(realm).host)
    except (httpx.InvalidURL, ValueError):  # a host that is no name (IDNA) is a ValueError
        return False
