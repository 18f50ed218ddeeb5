"""Putting the double together: TLS front, admin interface, signals, an end in under a second."""

import asyncio
import logging
import signal
import ssl
from pathlib import Path

from aiohttp import web

from sandbox.double.admin_api import AdminApi
from sandbox.double.config import AdminAddress, DoubleConfig
from sandbox.double.errors import KeyMaterialError, ListenError
from sandbox.double.front import Front
from sandbox.double.state import State
from sandbox.double.upstream import Upstream, open_session

_LOG = logging.getLogger("sandbox.double")
_READ_BUFFER = 256 * 1024
# How long requests under way may still take once the end was asked for.
_GRACE_SECONDS = 0.3


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The server side's TLS settings; raises KeyMaterialError if the files cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise KeyMaterialError(
            "the TLS certificate or key cannot be used",
            f"{certificate}, {key} ({error.strerror or error})",
            "Give a PEM certificate and its unencrypted PEM key.",
        ) from error
    return context


async def serve(config: DoubleConfig, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises KeyMaterialError or ListenError before anything is served."""
    tls = tls_context(config.tls_certificate_file, config.tls_key_file)
    state = State(config)
    async with open_session() as session:
        front = Front(state, Upstream(session, config.upstream, state.issuer))
        server = web.Server(
            front.handle, handler_cancellation=True, read_bufsize=_READ_BUFFER, access_log=None
        )
        front_runner = web.ServerRunner(server, shutdown_timeout=_GRACE_SECONDS)
        admin_runner = web.AppRunner(
            AdminApi(state).application, shutdown_timeout=_GRACE_SECONDS, access_log=None
        )
        try:
            await front_runner.setup()
            await admin_runner.setup()
            for address in config.listen:
                where = f"{address.host}:{address.port}"
                await _start(web.TCPSite(front_runner, address.host, address.port, ssl_context=tls), where)
            await _start_admin(admin_runner, config.admin)
            _LOG.info("ready: %s", ", ".join(f"https://{item.host}:{item.port}" for item in config.listen))
            await stop.wait()
            _LOG.info("stopping")
        finally:
            await asyncio.gather(front_runner.cleanup(), admin_runner.cleanup())


async def _start_admin(runner: web.AppRunner, address: AdminAddress) -> None:
    if address.socket is None:
        assert address.port is not None  # noqa: S101 - the model guarantees one of the two
        await _start(web.TCPSite(runner, address.host, address.port), f"{address.host}:{address.port}")
        return
    if address.socket.is_socket():
        address.socket.unlink()  # left by a process that was killed
    await _start(web.UnixSite(runner, address.socket), str(address.socket))
    address.socket.chmod(0o600)


async def _start(site: web.BaseSite, where: str) -> None:
    try:
        await site.start()
    except OSError as error:
        raise ListenError(
            "cannot listen", f"{where} ({error.strerror or error})", "Free the address or configure another."
        ) from error


def run(config: DoubleConfig) -> None:
    """Serve in the foreground until SIGTERM or SIGINT."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(config, stop)

    asyncio.run(main())
