"""Addresses that a registry leads to: which of them may see the login, and which are not gone to at all."""

from __future__ import annotations

from urllib.parse import urljoin

import httpx

from runbook_lib.errors import RegistryAnswerError

_REMEDY = (
    "on the registry's side: what ends TLS in front of it (load balancer, ingress) must send the header"
    " X-Forwarded-Proto: https, or the registry must be told its own address (distribution: http.host,"
    " Harbor: external_url)"
)
_BODILESS = ("GET", "HEAD")


def same_origin(one: str, other: str) -> bool:
    """True where both have the scheme, host and port in common: only then may one see the other's login."""
    first, second = httpx.URL(one), httpx.URL(other)
    return (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)


def upload_address(host: str, repository: str, asked: str, location: str) -> str:
    """The absolute address of an upload that was opened at `asked`; `location` is the answer's header.

    Raises:
        RegistryAnswerError: there is none, it is not an address, or it leads from https to plain http.
    """
    where = f"{host}/{repository}"
    if not location:
        raise RegistryAnswerError("it opened an upload without saying where", where=where, remedy="try again")
    try:
        address = httpx.URL(urljoin(asked, location))
        known = bool(address.host) and 0 < (address.port or 1) < 65536
    except (httpx.InvalidURL, ValueError):
        known = False
    if not known:
        raise RegistryAnswerError(
            f"it opened an upload at something that is not an address: {location[:80]!r}",
            where=where,
            remedy="check that the host is a registry and that no proxy answers in its place",
        )
    if address.scheme != "https":
        raise _without_tls(where, address)
    return str(address)


def refuse_plain_http(host: str, request: httpx.Request) -> None:
    """The last gate before a request leaves, redirects included.

    Plain http is left for reads that carry no login and go to another host: storage that a registry
    redirects to, where the digest tells whether the bytes are right.

    Raises:
        RegistryAnswerError: any other request that is not https.
    """
    url = request.url
    elsewhere = url.host != httpx.URL(f"https://{host}").host
    harmless = request.method in _BODILESS and "Authorization" not in request.headers and elsewhere
    if url.scheme != "https" and not harmless:
        raise _without_tls(host, url)


def _without_tls(where: str, url: httpx.URL) -> RegistryAnswerError:
    place = str(url.copy_with(query=None, fragment=None, userinfo=b""))[:120]
    return RegistryAnswerError(
        f"it leads from https to an address without TLS ({place}); nothing is sent there, for a login would"
        " go in clear",
        where=where,
        remedy=_REMEDY,
    )
