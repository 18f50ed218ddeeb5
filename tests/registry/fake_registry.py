"""A registry that answers what a test says: HTTPS on a free port, every request noted."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

import trustme
from serving import Reply, Replying, serving


@dataclass
class Fake:
    """`host` to connect to and `ca` to trust; `seen` holds method, path and Authorization of each request."""

    host: str = ""
    ca: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def fake_registry(folder: Path, reply: Callable[[Fake, str, str], Reply]) -> Iterator[Fake]:
    """`reply` gets the fake, the method and the path with its query."""
    fake = Fake(ca=str(folder / "fake-ca.pem"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(fake.ca)

    class Handler(Replying):
        def reply(self) -> Reply:
            fake.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
            return reply(fake, self.command, self.path)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        fake.host = f"127.0.0.1:{server.server_port}"
        with serving(server):
            yield fake


@contextmanager
def listener(context: ssl.SSLContext | None) -> Iterator[str]:
    """One connection: a handshake, or plain HTTP where there is no context."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.settimeout(5)
                try:
                    if context is not None:
                        context.wrap_socket(connection, server_side=True).close()
                    else:
                        connection.recv(10)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(6)
