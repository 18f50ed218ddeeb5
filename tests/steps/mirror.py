"""A local mirror of release downloads: files by path, byte ranges, answers that break off."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme
from serving import serving


class Mirror(ThreadingHTTPServer):
    """Serves `files` (path to body or to a file); `cuts` is how many answers end half-way."""

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes | Path] = {}
        self.cuts = 0
        self.asked: list[tuple[str, str]] = []
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        span = self.headers.get("Range", "")
        self.server.asked.append((self.path, span))
        found = self.server.files.get(self.path)
        whole = found.read_bytes() if isinstance(found, Path) else found
        begin = int(span.removeprefix("bytes=").rstrip("-")) if span and self.headers.get("If-Range") else 0
        self.send_response(404 if whole is None else 206 if begin else 200)
        body = (whole or b"")[begin:]
        self.send_header("Content-Length", str(len(body)))
        if begin and whole:
            self.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        self.send_header("ETag", '"one"')
        self.end_headers()
        cut = self.server.cuts > 0 and len(body) > 10_000
        self.server.cuts -= cut
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = True


@contextmanager
def running(certificate: trustme.LeafCert | None = None) -> Iterator[Mirror]:
    with Mirror(certificate) as mirror, serving(mirror):
        yield mirror
