"""HTTP as downloads need it: every redirect looked at, transient failures tried again, all bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_exponential

from runbook_lib.bounded import bounded
from runbook_lib.errors import DownloadError
from runbook_lib.web_client import new_client

ATTEMPTS = 4
_SLACK = 0.5  # seconds in which an attempt's own limits come first, which say more
REDIRECTS = 5
REMEDY = (
    "check the address and the proxy, give a mirror (buildctl_url, kubectl_url) or a local file "
    "(buildctl_archive); for a private CA set SSL_CERT_FILE"
)


class TransientError(Exception):
    """A failure after which another attempt may succeed."""


def refuse_unprotected(url: str) -> None:
    """Refuse an address from which no file and no checksum can be believed.

    Who can change a file that comes by plain http can change the checksum that lies beside it as well.

    Raises:
        DownloadError: it is not https, or no address.
    """
    if _scheme(url) != "https":
        raise DownloadError(
            "plain http without an expected sha256 proves nothing about the file",
            where=url,
            remedy="use https, or give buildctl_sha256 or kubectl_sha256",
        )


def get_small(url: str, timeout: float = 30.0, limit: int = 4 << 20) -> bytes | None:
    """A small body such as a checksum file, or None where the server answers 404 or 403.

    Raises:
        DownloadError: any other failure, or the address is not https.
    """
    refuse_unprotected(url)
    with client_of_downloads(url) as client:
        bodies: list[bytes | None] = []

        def attempt(left: float) -> None:
            with follow(client, url, {}, left) as answer:
                if answer.status_code in (403, 404):
                    bodies.append(None)
                    return
                expect(answer, (200,))
                body = b""
                until = time.monotonic() + left
                for chunk in answer.iter_raw():  # as it comes: a compressed body was not asked for
                    body += chunk
                    if time.monotonic() > until:
                        raise DownloadError(
                            f"the body did not end within {timeout:g} s", where=url, remedy=REMEDY
                        )
                    if len(body) > limit:
                        raise DownloadError(
                            f"the body is larger than {limit} bytes", where=url, remedy=REMEDY
                        )
                bodies.append(body)

        persist(attempt, url, timeout)
        return bodies[-1]


def client_of_downloads(url: str) -> httpx.Client:
    """A client that follows no redirect by itself: each one is looked at first.

    Raises:
        DownloadError: about `url`, a variable for proxies or CAs cannot be used.
    """
    return new_client(
        DownloadError,
        url,
        follow_redirects=False,
        timeout=httpx.Timeout(30.0, connect=10.0),
        headers={"Accept-Encoding": "identity"},
    )


def persist(attempt: Callable[[float], None], url: str, timeout: float) -> None:
    """Call `attempt(seconds left)` until it ends well, at most `ATTEMPTS` times in `timeout` seconds.

    Raises:
        DownloadError: the last attempt failed too, or the address is none.
    """
    deadline = time.monotonic() + timeout
    again = Retrying(
        retry=retry_if_exception_type((TransientError, httpx.TransportError)),
        stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(timeout),
        wait=wait_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    try:
        again(lambda: _one_attempt(attempt, deadline - time.monotonic()))
    except TimeoutError:
        raise DownloadError(f"it did not end within {timeout:g} s", where=url, remedy=REMEDY) from None
    except (TransientError, httpx.TransportError) as e:
        raise DownloadError(
            f"gave up after {ATTEMPTS} attempts: {e or type(e).__name__}", where=url, remedy=REMEDY
        ) from e
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as e:
        # UnicodeError: a name that Python itself cannot put on the wire, such as one with an empty label.
        raise _no_address(url, e) from e


def _no_address(url: str, why: Exception) -> DownloadError:
    return DownloadError(f"this is not an address: {why}", where=url, remedy=REMEDY)


def _joined(url: str, place: str) -> str:
    """The address that `place` (of a redirect) means, seen from `url`."""
    try:
        return urljoin(url, place)
    except ValueError as e:
        raise _no_address(place, e) from e


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as e:
        raise _no_address(url, e) from e


def _one_attempt(attempt: Callable[[float], None], left: float) -> None:
    left = max(left, 0.1)
    bounded(lambda: attempt(left), left + _SLACK, "download")


@contextmanager
def follow(client: httpx.Client, url: str, headers: dict[str, str], left: float) -> Iterator[httpx.Response]:
    """GET with streaming, following at most `REDIRECTS` redirects, none of them from https to http.

    Raises:
        DownloadError: too many redirects, or one to an unprotected address.
    """
    for _ in range(REDIRECTS + 1):
        timeout = httpx.Timeout(max(0.1, min(30.0, left)), connect=max(0.1, min(10.0, left)))
        answer = client.send(client.build_request("GET", url, headers=headers, timeout=timeout), stream=True)
        place = answer.headers.get("location", "")
        if answer.status_code not in (301, 302, 303, 307, 308) or not place:
            try:
                yield answer
            finally:
                answer.close()
            return
        answer.close()
        onward = _joined(url, place)
        if _scheme(url) == "https" and _scheme(onward) != "https":
            raise DownloadError(
                "the server redirects from https to an unprotected address", where=url, remedy=REMEDY
            )
        url = onward
    raise DownloadError(f"more than {REDIRECTS} redirects", where=url, remedy=REMEDY)


def expect(answer: httpx.Response, good: tuple[int, ...]) -> None:
    """Refuse answers that are not `good`, and web pages.

    Raises:
        TransientError: 408, 425, 429 or 5xx.
        DownloadError: any other answer that is not wanted.
    """
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        raise TransientError(f"the server answers {answer.status_code}")
    if answer.status_code not in good:
        raise DownloadError(
            f"the server answers {answer.status_code} {answer.reason_phrase}",
            where=str(answer.url),
            remedy=REMEDY,
        )
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html":
        raise DownloadError(
            "the server answers with a web page, not a file (a proxy's or a login page, perhaps)",
            where=str(answer.url),
            remedy=REMEDY,
        )
