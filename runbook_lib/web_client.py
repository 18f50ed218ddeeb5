"""HTTP clients set up as the environment says; what is wrong with its variables is a typed error.

httpx reads the same variables itself, but one mistake in them, or an entry of NO_PROXY that only other
tools know (fd00::/8), is then an error of any kind out of its constructor.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from typing import Any
from urllib.request import getproxies

import httpx

from runbook_lib.errors import RunbookError

_OF_TLS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def new_client(
    failure: type[RunbookError],
    where: str,
    trust: ssl.SSLContext | None = None,
    **options: Any,  # noqa: ANN401
) -> httpx.Client:
    """A client with the environment's proxies and, without `trust`, its CAs; `options` are httpx's own.

    Raises:
        RunbookError: `failure`, about `where`: a variable cannot be used; the text names it, not its value.
    """
    verify = trust or default_trust(failure, where)
    mounts = _proxies(failure, where, verify)
    return httpx.Client(verify=verify, mounts=mounts, trust_env=False, **options)


def default_trust(failure: type[RunbookError], where: str) -> ssl.SSLContext:
    """TLS settings that trust the usual CAs, or those of SSL_CERT_FILE and SSL_CERT_DIR.

    Raises:
        RunbookError: `failure`, about `where`: one of the files cannot be used.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as e:
        reason = "it holds no PEM certificate" if isinstance(e, ssl.SSLError) else e.strerror
        named = ", ".join(name for name in _OF_TLS if os.environ.get(name))
        raise failure(
            f"a file that the environment names for TLS cannot be used ({named}): {reason}",
            where=where,
            remedy=f"correct or unset the variable {named}",
        ) from e


def _proxies(
    failure: type[RunbookError], where: str, trust: ssl.SSLContext
) -> dict[str, httpx.BaseTransport | None]:
    """What goes through which proxy, and what through none, as httpx takes it: by beginnings of addresses."""
    told = getproxies()
    exempt = [entry.strip() for entry in told.get("no", "").split(",")]
    schemes = [scheme for scheme in ("http", "https", "all") if told.get(scheme)]
    if not schemes or "*" in exempt:
        return {}
    through = {f"{scheme}://": _proxy(failure, where, trust, scheme, told[scheme]) for scheme in schemes}
    return {**through, **{pattern: None for entry in exempt if (pattern := _pattern(entry))}}


def _proxy(
    failure: type[RunbookError], where: str, trust: ssl.SSLContext, scheme: str, address: str
) -> httpx.BaseTransport:
    variable = f"{scheme.upper()}_PROXY"
    try:
        return httpx.HTTPTransport(verify=trust, proxy=address if "://" in address else f"http://{address}")
    except ImportError:
        raise failure(
            f"{variable} names a SOCKS proxy, for which the Python package socksio is missing",
            where=where,
            remedy=f"give an http:// proxy in {variable}, or run: pip install socksio",
        ) from None
    except (httpx.InvalidURL, ValueError):  # their texts hold the address, and that may hold a password
        raise failure(
            f"{variable} names no proxy that can be used",
            where=where,
            remedy=f"correct the variable {variable} (such as http://proxy.example:3128), or unset it",
        ) from None


def _pattern(entry: str) -> str:
    """An entry of NO_PROXY as httpx takes it; "" for one that it cannot take, such as fd00::/8."""
    bare = entry.strip("[]")
    try:
        ipaddress.IPv6Address(bare)
        pattern = f"all://[{bare}]"
    except ValueError:
        pattern = entry if "://" in entry else f"all://*{entry}"
    try:
        httpx.URL(pattern)
    except httpx.InvalidURL:
        return ""
    return pattern if entry else ""
