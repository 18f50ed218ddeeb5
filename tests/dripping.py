"""A server that never ends and never falls silent for long, in each part of an answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_EVERY = 0.1  # seconds between two pieces
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WAYS: dict[str, tuple[bytes, bytes]] = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (_HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunk": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
}
"""What is sent once, and what is sent again and again."""


@contextmanager
def dripping(way: str, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """host:port of a server that answers in the way named; over TLS with a context."""
    ending = threading.Event()

    def answer(connection: socket.socket) -> None:
        begin, again = WAYS[way]
        with suppress(OSError), connection:
            link = connection if context is None else context.wrap_socket(connection, server_side=True)
            with link:
                link.recv(65536)
                link.sendall(begin)
                while not ending.wait(_EVERY):
                    link.sendall(again)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while not ending.is_set():
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            ending.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
