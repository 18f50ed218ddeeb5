"""The way to distribution: headers translated both ways, bodies streamed, nothing decided here."""

import re
from collections.abc import AsyncIterator

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sandbox.double.config import TOKEN_PATH
from sandbox.double.tokens import Access, TokenIssuer

# RFC 9110, 7.6.1: these speak of one connection only. Expect is answered by the front itself.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_HOST = re.compile(r"^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$")
_CHALLENGE = re.compile(r'realm="[^"]*",service="[^"]*"')
_NO_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_READ_BUFFER = 256 * 1024
_SILENCE_SECONDS = 300


def open_session() -> aiohttp.ClientSession:
    """A client for distribution: bodies untouched, no redirects of its own, every wait bounded."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS),
        auto_decompress=False,
        read_bufsize=_READ_BUFFER,
        skip_auto_headers=_NO_AUTOMATIC_HEADERS,
    )


def client_host(headers: CIMultiDictProxy[str], public_host: str) -> str:
    """The host the client spoke to, as it wrote it; the public one where it wrote none that is a host."""
    host = headers.get("Host", "")
    return host if _HOST.match(host) else public_host


class Upstream:
    """Distribution at its plain HTTP address."""

    def __init__(self, session: aiohttp.ClientSession, base: str, issuer: TokenIssuer) -> None:
        self._session, self._base, self._issuer = session, base, issuer

    def request(
        self, method: str, target: str, headers: CIMultiDict[str], body: AsyncIterator[bytes] | None
    ) -> "aiohttp.client._RequestContextManager":
        """The request to distribution, entered by `async with`; `target` is the raw path and query."""
        url = URL(self._base + target, encoded=True)
        return self._session.request(method, url, headers=headers, data=body, allow_redirects=False)

    async def has_repository(self, name: str) -> bool:
        """Whether distribution knows this repository; aiohttp.ClientError if it cannot be asked."""
        token = self._issuer.registry_token("registry-double", [Access("repository", name, ("pull",))], 60)
        headers = CIMultiDict({"Authorization": f"Bearer {token}"})
        async with self.request("GET", f"/v2/{name}/tags/list?n=1", headers, None) as response:
            await response.read()
            return response.status == 200


def headers_to_upstream(headers: CIMultiDictProxy[str], host: str) -> CIMultiDict[str]:
    """The client's headers for distribution, which builds its Location headers from the three set here."""
    passed = _end_to_end(headers)
    passed["Host"] = host
    passed["X-Forwarded-Proto"] = "https"
    passed["X-Forwarded-Host"] = host
    return passed


def headers_to_client(headers: CIMultiDictProxy[str], host: str) -> CIMultiDict[str]:
    """Distribution's headers for the client; a challenge names the host the client used, as OCIR's does."""
    passed = _end_to_end(headers)
    challenge = passed.get("WWW-Authenticate")
    if challenge:
        named = f'realm="https://{host}{TOKEN_PATH}",service="{host}"'
        passed["WWW-Authenticate"] = _CHALLENGE.sub(lambda _: named, challenge)
    return passed


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    listed = {name.strip().lower() for value in headers.getall("Connection", []) for name in value.split(",")}
    dropped = _HOP_BY_HOP | listed
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
