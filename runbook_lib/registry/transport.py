"""HTTPS to one registry: bounded requests, few retries of reads, connection failures as typed errors."""

from __future__ import annotations

import contextlib
import email.utils
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, retry_if_result, stop_after_attempt

from runbook_lib.bounded import bounded
from runbook_lib.errors import RegistryAnswerError, RegistryError, RegistryUnreachableError
from runbook_lib.registry.addresses import refuse_plain_http
from runbook_lib.registry.explain import seconds_to_wait
from runbook_lib.registry.tls import tls_error, trust
from runbook_lib.web_client import new_client

MOST_BYTES = 8 * 1024 * 1024  # twice what distribution accepts as a manifest
ATTEMPTS = 3
_SLACK = 0.5  # seconds in which httpx's own time-outs come first, which say more
LONGEST_PAUSE = 5.0  # seconds, also for a Retry-After that asks for more
_SAFE = ("GET", "HEAD")
# identity: the lengths of HEAD answers are compared with those of manifests.
_HEADERS = {"User-Agent": "buildkit-runbook", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers (case-insensitive), body (at most MOST_BYTES), final address."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str


class Transport:
    """Sends requests; `timeout` (seconds) bounds each request as a whole, retries excluded."""

    def __init__(self, host: str, ca: str = "", timeout: float = 15.0, attempts: int = ATTEMPTS) -> None:
        self.host = host
        self.timeout = timeout
        self.attempts = attempts
        self.skew: float | None = None  # seconds that the other side's clock was ahead, by its last answer
        self._trust = trust(host, ca)
        self._client = self._new_client()

    def _new_client(self) -> httpx.Client:
        return new_client(
            RegistryUnreachableError,
            self.host,
            self._trust,
            timeout=self.timeout,
            headers=_HEADERS,
            event_hooks={"request": [partial(refuse_plain_http, self.host)]},
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> Answer:
        """One request; reads (GET, HEAD) are tried again on 429, 5xx and a broken connection.

        Raises:
            RegistryUnreachableError, RegistryTlsError: no answer.
            RegistryAnswerError: one too large, or one that leads to an address without TLS.
        """
        if method not in _SAFE:
            return self._once(method, url, headers, content)
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=_pause,
            retry=retry_if_result(_worth_repeating) | retry_if_exception(_broken),
            retry_error_callback=_last_outcome,
        )
        answer: Answer = retrying(self._once, method, url, headers, content)
        return answer

    def _once(self, method: str, url: str, headers: Mapping[str, str] | None, content: bytes) -> Answer:
        client = self._client
        try:
            return bounded(
                lambda: self._exchange(client, method, url, headers, content),
                self.timeout + _SLACK,
                f"{method} {self.host}",
            )
        except TimeoutError:
            self._client = self._new_client()  # the thread that was left may be at work with the other still
            raise self._unreachable(f"the answer did not end within {self.timeout:g} s") from None

    def _exchange(
        self, client: httpx.Client, method: str, url: str, headers: Mapping[str, str] | None, content: bytes
    ) -> Answer:
        deadline = time.monotonic() + self.timeout
        try:
            with (
                self._typed_errors(),
                client.stream(
                    method,
                    url,
                    headers=dict(headers or {}),
                    content=content or None,
                    follow_redirects=method in _SAFE,
                ) as response,
            ):
                self.skew = _skew(response.headers.get("Date", ""))
                body = self._read(response, deadline)
                return Answer(response.status_code, response.headers, body, str(response.url))
        except SystemExit:  # given up by the caller, who goes on with another client
            client.close()
            raise

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise RegistryAnswerError(
                    f"the answer is larger than {MOST_BYTES // 1024 // 1024} MiB",
                    where=self.host,
                    remedy="check that the host is a registry and the reference an image",
                )
            if time.monotonic() > deadline:
                raise self._unreachable(f"the answer did not end within {self.timeout:g} s")
        return b"".join(parts)

    @contextlib.contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as e:
            raise self._unreachable(f"no answer within {self.timeout:g} s ({type(e).__name__})") from e
        except httpx.TooManyRedirects as e:
            raise RegistryAnswerError(
                "it redirects in a circle", where=self.host, remedy="check the host"
            ) from e
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as e:
            raise self._connection_error(e) from e
        except (ValueError, OverflowError) as e:  # a name or port that the socket layer does not take
            raise self._unreachable(f"no connection: {e}"[:200]) from e

    def _connection_error(self, error: Exception) -> RegistryError:
        chain = list(_chain(error))
        tls = next((e for e in chain if isinstance(e, ssl.SSLError)), None)
        if tls is not None and not isinstance(tls, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return tls_error(self.host, tls)
        if any(isinstance(e, socket.gaierror) for e in chain):
            return self._unreachable("the host name cannot be resolved")
        if any(isinstance(e, ConnectionRefusedError) for e in chain):
            return self._unreachable("the connection is refused: nothing listens there")
        if isinstance(error, httpx.ConnectError | httpx.InvalidURL | httpx.UnsupportedProtocol):
            return self._unreachable(f"no connection: {error}"[:200])
        return _BrokenError(
            f"the connection broke off: {error}"[:200],
            where=self.host,
            remedy="try again; if it stays, look for a proxy or load balancer that cuts connections",
        )

    def _unreachable(self, what: str) -> RegistryUnreachableError:
        return RegistryUnreachableError(
            what,
            where=self.host,
            remedy="check the host and port in the parameter registry, name resolution, firewall and proxy"
            " settings (HTTPS_PROXY, NO_PROXY)",
        )


class _BrokenError(RegistryUnreachableError):
    """A connection that was there and ended: worth another try for reads."""


def _skew(date: str) -> float | None:
    """Seconds that a Date header (RFC 9110, to the second) is ahead of this clock; None where it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _worth_repeating(answer: Answer) -> bool:
    return answer.status == 429 or answer.status in (500, 502, 503, 504)


def _broken(error: BaseException) -> bool:
    return isinstance(error, _BrokenError)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next try: the registry's own Retry-After, else 0.3, 0.6, …"""
    outcome = state.outcome
    if outcome is not None and not outcome.failed:
        asked = outcome.result().headers.get("Retry-After", "")
        if asked:
            return min(seconds_to_wait(asked), LONGEST_PAUSE)
    return float(min(0.3 * 2 ** (state.attempt_number - 1), LONGEST_PAUSE))


def _last_outcome(state: RetryCallState) -> Any:  # noqa: ANN401
    """The last answer, or the last error, instead of tenacity's own RetryError."""
    return state.outcome.result() if state.outcome else None
