"""A server of downloads that can misbehave in each way that matters; `behave` names the way by path."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme
from serving import serving

_BOMB = gzip.compress(bytes(20_000_000))  # made before the clock of a download runs


class Hostile(ThreadingHTTPServer):
    """Paths: the handler's methods (/endless, /drip, /to-http and so on); else `bodies`."""

    daemon_threads = True

    def __init__(self, certificate: trustme.LeafCert | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.ending = False
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.url = self.url.replace("http:", "https:")

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are expected."""


class _Handler(BaseHTTPRequestHandler):
    server: Hostile

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.close_connection = True
        with suppress(OSError):
            getattr(self, "_" + self.path.strip("/").replace("-", "_"), self._plain)()

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _plain(self) -> None:
        body = self.server.bodies.get(self.path)
        self._head(404 if body is None else 200, Content_Length=str(len(body or b"")))
        self.wfile.write(body or b"")

    def _endless(self) -> None:
        self._head(200)
        while not self.server.ending:
            self.wfile.write(b"x" * 65536)

    def _drip(self) -> None:
        self._head(200, Content_Length="100000")
        while not self.server.ending:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def _silent(self) -> None:
        while not self.server.ending:
            time.sleep(0.05)

    def _bomb(self) -> None:
        self._head(200, Content_Length=str(len(_BOMB)), Content_Encoding="gzip")
        self.wfile.write(_BOMB)

    def _longer(self) -> None:
        self._head(200, Content_Length="10")
        self.wfile.write(b"x" * 1000)

    def _shorter(self) -> None:
        self._head(200, Content_Length="1000")
        self.wfile.write(b"x" * 10)

    def _lying_range(self) -> None:
        self._head(206, Content_Length="10", Content_Range="bytes 500-509/1000")
        self.wfile.write(b"x" * 10)

    def _long_total(self) -> None:
        self._head(206, Content_Length="10", Content_Range=f"bytes 0-9/{'9' * 5000}")
        self.wfile.write(b"x" * 10)

    def _to_bracket(self) -> None:
        self._head(302, Location="https://[", Content_Length="0")

    def _to_long_name(self) -> None:
        self._head(302, Location=f"https://{'a' * 64}.example/f", Content_Length="0")

    def _to_http(self) -> None:
        self._head(302, Location="http://127.0.0.1:9/f", Content_Length="0")


@contextmanager
def serve(certificate: trustme.LeafCert | None = None) -> Iterator[Hostile]:
    """The server at work; https with a certificate."""
    with Hostile(certificate) as server, serving(server):
        try:
            yield server
        finally:
            server.ending = True
