"""The admin interface: switches, repositories, faults, journal and login tokens, as JSON on loopback.

GET  /health                 {"status": "ok", "pid": …}
GET|PATCH /switches          the switches; PATCH with any part of them
GET|POST /repositories       names; POST {"name": …} creates one
DELETE /repositories/NAME
GET|POST|DELETE /faults      POST a fault (faults.Fault) -> {"id": …}; DELETE clears all
DELETE /faults/ID
GET|DELETE /requests         counters and the last requests (journal.Journal)
POST /login-token            {"username": …, "lifetime": seconds} -> {"token": …} for user BEARER_TOKEN
POST /reset                  back to the configuration
"""

import os
from collections.abc import Awaitable, Callable
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.double.config import Switches
from sandbox.double.faults import Fault
from sandbox.double.state import State

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RepositoryRequest(BaseModel):
    """The repository to create, named as in a reference: `<namespace>/<repository>`."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$", max_length=255)]


class LoginTokenRequest(BaseModel):
    """Whom a short-lived login token is for, and its lifetime in seconds."""

    model_config = ConfigDict(extra="forbid")
    username: str
    lifetime: Annotated[int, Field(ge=1, le=86400)] = 3600


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Keep web pages out (a foreign Host is DNS rebinding); turn bad input into a 400 that explains it."""
    host = (request.url.host or "").strip("[]")
    if host not in {"127.0.0.1", "::1", "localhost"} or "Origin" in request.headers:
        return _problem(403, "the admin interface answers local clients only, not web pages")
    try:
        return await handler(request)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
            for item in error.errors(include_input=False)
        ]
        return _problem(400, "; ".join(faults))


class AdminApi:
    """The handlers over one state; `application` is what a server serves."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.application = web.Application(middlewares=[_guard], client_max_size=64 * 1024)
        self.application.add_routes(
            [
                web.get("/health", self._health),
                web.get("/switches", self._get_switches),
                web.patch("/switches", self._patch_switches),
                web.get("/repositories", self._get_repositories),
                web.post("/repositories", self._post_repository),
                web.delete("/repositories/{name:.+}", self._delete_repository),
                web.get("/faults", self._get_faults),
                web.post("/faults", self._post_fault),
                web.delete("/faults", self._clear_faults),
                web.delete("/faults/{id:[0-9]+}", self._delete_fault),
                web.get("/requests", self._get_requests),
                web.delete("/requests", self._clear_requests),
                web.post("/login-token", self._post_login_token),
                web.post("/reset", self._reset),
            ]
        )

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "pid": os.getpid()})

    async def _get_switches(self, _request: web.Request) -> web.Response:
        return web.json_response(self._state.switches.model_dump())

    async def _patch_switches(self, request: web.Request) -> web.Response:
        changes = Switches.model_validate_json(await request.read(), strict=True).model_dump(
            exclude_unset=True
        )
        self._state.switches = self._state.switches.model_copy(update=changes)
        return await self._get_switches(request)

    async def _get_repositories(self, _request: web.Request) -> web.Response:
        return web.json_response(sorted(self._state.repositories))

    async def _post_repository(self, request: web.Request) -> web.Response:
        name = RepositoryRequest.model_validate_json(await request.read()).name
        if name in self._state.repositories:
            return _problem(409, f"repository {name} exists already")
        self._state.repositories.add(name)
        return web.json_response({"name": name}, status=201)

    async def _delete_repository(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._state.repositories:
            return _problem(404, f"repository {name} was not created here")
        self._state.repositories.remove(name)
        return web.Response(status=204)

    async def _get_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._state.faults.describe())

    async def _post_fault(self, request: web.Request) -> web.Response:
        fault = Fault.model_validate_json(await request.read())
        return web.json_response({"id": self._state.faults.add(fault)}, status=201)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._state.faults.clear()
        return web.Response(status=204)

    async def _delete_fault(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if not self._state.faults.remove(int(number)):
            return _problem(404, f"there is no fault {number}")
        return web.Response(status=204)

    async def _get_requests(self, _request: web.Request) -> web.Response:
        return web.json_response(self._state.journal.describe())

    async def _clear_requests(self, _request: web.Request) -> web.Response:
        self._state.journal.clear()
        return web.Response(status=204)

    async def _post_login_token(self, request: web.Request) -> web.Response:
        wanted = LoginTokenRequest.model_validate_json(await request.read())
        if self._state.accounts.find(wanted.username) is None:
            return _problem(404, f"there is no user {wanted.username}")
        return web.json_response({"token": self._state.issuer.login_token(wanted.username, wanted.lifetime)})

    async def _reset(self, _request: web.Request) -> web.Response:
        self._state.reset()
        return web.Response(status=204)
