"""The front: one request from the client, through faults and rules, to distribution and back."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from sandbox.double import rules, token_endpoint
from sandbox.double.bodies import Counted, CutNow, chain, peek
from sandbox.double.config import TOKEN_PATH
from sandbox.double.errors import DoubleError
from sandbox.double.faults import BlackHole, Cut, ExpiredToken, MovedTag, Status, Strike, WrongDigest
from sandbox.double.journal import Entry
from sandbox.double.replies import Reply
from sandbox.double.state import State
from sandbox.double.tokens import Bearer
from sandbox.double.upstream import Upstream, client_host, headers_to_client, headers_to_upstream

_LOG = logging.getLogger("sandbox.double")
# distribution v3.1.2 takes no larger manifest (registry/handlers/manifests.go), so none needs inspecting.
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_ZERO_DIGEST = "sha256:" + "0" * 64


@dataclass
class _Exchange:
    """What is known of one request while it is served, for the journal."""

    request: web.BaseRequest
    strike: Strike
    bearer: Bearer | None
    sent: Counted
    subject: str = ""
    status: int = 0
    bytes_out: int = 0
    rule: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return self.request.rel_url.raw_path

    def entry(self) -> Entry:
        return Entry(
            time=round(time.time(), 3),
            method=self.request.method,
            path=self.path,
            status=self.status,
            subject=self.subject,
            bytes_in=self.sent.count,
            bytes_out=self.bytes_out,
            milliseconds=round((time.monotonic() - self.began) * 1000, 1),
            fault=self.strike.action.kind if self.strike.action else "latency" if self.strike.delay else "",
            rule=self.rule,
        )


class Front:
    """Serves requests; hand `handle` to an aiohttp server."""

    def __init__(self, state: State, upstream: Upstream) -> None:
        self._state, self._upstream = state, upstream

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request and write one line about it, also when the client leaves or a fault cuts it."""
        strike = self._state.faults.strike(request.method, request.rel_url.raw_path)
        bearer = self._bearer(request)
        sent = Counted(request.content.iter_any(), strike.action, "request")
        exchange = _Exchange(request, strike, bearer, sent, subject=bearer.subject if bearer else "")
        try:
            return await self._serve(exchange)
        except CutNow:
            exchange.status = 0
            return _cut(request)
        finally:
            entry = exchange.entry()
            self._state.journal.add(entry)
            _LOG.info(entry.line())

    async def _serve(self, exchange: _Exchange) -> web.StreamResponse:
        request, action = exchange.request, exchange.strike.action
        await asyncio.sleep(exchange.strike.delay)
        if isinstance(action, BlackHole):
            await self._stay_silent(action, exchange.strike.fault_id)
        if isinstance(action, Cut) and action.side == "request" and action.after_bytes == 0:
            raise CutNow
        if isinstance(action, Status):
            return _own(exchange, self._injected(action, request), "")
        if exchange.path == TOKEN_PATH:
            return await self._token(exchange)
        head = b""
        if rules.manifest_reference(exchange.path) and request.method == "PUT":
            head, whole = await peek(aiter(exchange.sent), _MAX_MANIFEST_BYTES)
            refusal = rules.manifest_refusal(head, self._state.switches) if whole else None
            if refusal:
                return _own(exchange, refusal, "manifest")
        try:
            refusal = await self._refusal(exchange)
            if refusal:
                return _own(exchange, refusal, "repository")
            return await self._pass_on(exchange, head)
        except aiohttp.ClientError as error:
            return self._upstream_failed(exchange, error)

    async def _token(self, exchange: _Exchange) -> web.StreamResponse:
        expired = isinstance(exchange.strike.action, ExpiredToken)
        try:
            response, subject = await token_endpoint.answer(exchange.request, self._state, expired=expired)
        except DoubleError as error:
            return _own(exchange, Reply(500, str(error)), "")
        exchange.subject, exchange.status = subject, response.status
        exchange.bytes_out = len(response.body) if isinstance(response.body, bytes) else 0
        if isinstance(exchange.strike.action, Cut) and exchange.strike.action.side == "response":
            raise CutNow
        return response

    async def _refusal(self, exchange: _Exchange) -> Reply | None:
        state = self._state
        if exchange.bearer is None:
            return None  # distribution challenges or refuses by itself
        if exchange.path == "/v2/_catalog" and state.switches.no_catalog:
            return rules.catalog_refusal()
        name = rules.pushed_repository(exchange.request.method, exchange.path)
        if name is None or exchange.bearer.anonymous or name in state.repositories:
            return None
        user = state.accounts.find(exchange.bearer.subject)
        if user and user.can_create_repositories and not state.switches.repository_must_exist:
            return None
        return None if await self._upstream.has_repository(name) else rules.missing_repository(name)

    async def _pass_on(self, exchange: _Exchange, head: bytes) -> web.StreamResponse:
        request, action = exchange.request, exchange.strike.action
        host = client_host(request.headers, self._state.config.public_host)
        target = _moved(str(request.rel_url), exchange.path, action, request.method)
        body: AsyncIterator[bytes] | None = None
        if request.can_read_body or head:
            body = chain(head, aiter(exchange.sent))
        async with self._upstream.request(
            request.method, target, headers_to_upstream(request.headers, host), body
        ) as answer:
            if self._denies_anonymous(exchange, answer.status):
                return _own(exchange, rules.anonymous_denied(), "anonymous")
            if isinstance(action, Cut) and action.side == "response" and action.after_bytes == 0:
                raise CutNow
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            response.headers.update(headers_to_client(answer.headers, host))
            if isinstance(action, WrongDigest) and "Docker-Content-Digest" in response.headers:
                response.headers["Docker-Content-Digest"] = _ZERO_DIGEST
            exchange.status = answer.status
            received = Counted(answer.content.iter_any(), action, "response")
            await response.prepare(request)
            try:
                async for chunk in received:
                    await response.write(chunk)
                await response.write_eof()
            finally:
                exchange.bytes_out = received.count
            return response

    def _denies_anonymous(self, exchange: _Exchange, status: int) -> bool:
        """Only for a repository the token was asked for: with another's token a client must be challenged."""
        bearer = exchange.bearer
        return bool(
            status == 401
            and self._state.switches.anonymous_denied
            and bearer
            and bearer.anonymous
            and rules.repository_of(exchange.path) in bearer.asked
        )

    def _injected(self, action: Status, request: web.BaseRequest) -> Reply:
        headers = {}
        if action.retry_after is not None:
            headers["Retry-After"] = str(action.retry_after)
        if action.status == 401:
            host = client_host(request.headers, self._state.config.public_host)
            realm = f'realm="https://{host}{TOKEN_PATH}",service="{host}"'
            headers["WWW-Authenticate"] = f'Bearer {realm},error="invalid_token"'
        return Reply(action.status, action.message, action.code, headers, action.body)

    async def _stay_silent(self, action: BlackHole, fault_id: int | None) -> None:
        deadline = time.monotonic() + action.seconds
        while time.monotonic() < deadline and self._state.faults.active(fault_id or 0):
            await asyncio.sleep(min(0.1, action.seconds))
        raise CutNow

    def _upstream_failed(self, exchange: _Exchange, error: aiohttp.ClientError) -> web.StreamResponse:
        if exchange.sent.cut:
            raise CutNow from error
        upstream = self._state.config.upstream
        _LOG.warning("distribution at %s failed: %s", upstream, type(error).__name__)
        if exchange.status:
            raise CutNow from error  # the answer has begun: a cut is the only honest end
        message = f"the registry behind the double does not answer at {upstream} ({type(error).__name__})"
        return _own(exchange, Reply(502, message, code="UNAVAILABLE"), "")

    def _bearer(self, request: web.BaseRequest) -> Bearer | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self._state.issuer.read_registry_token(token) if scheme.lower() == "bearer" and token else None


def _own(exchange: _Exchange, reply: Reply, rule: str) -> web.Response:
    exchange.status, exchange.rule = reply.status, rule
    return reply.response()


def _moved(target: str, path: str, action: object, method: str) -> str:
    found = rules.manifest_reference(path)
    if not isinstance(action, MovedTag) or found is None or method not in {"GET", "HEAD"}:
        return target
    name, reference = found
    return target if ":" in reference else target.replace(path, f"/v2/{name}/manifests/{action.to}", 1)


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        with contextlib.suppress(OSError):
            # close() first sends what was already written, so that a cut after N bytes really delivers N.
            transport.close()
    return web.Response(status=500)
