"""A TCP proxy that treats its connections badly. It looks into nothing: what it carries stays TLS end to end.

Where the kernel has no netem, a lost segment is imitated by what TCP makes of it: everything behind it waits
until it is sent again, 200 ms at least (RFC 6298 and Linux's TCP_RTO_MIN).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

_SEGMENT = 1460  # bytes
_RETRANSMISSION = 0.2  # seconds
_CHUNK = 16 * 1024
_METHODS = (b"GET ", b"POST ", b"PATCH ", b"PUT ", b"DELETE ")
_NO_LINGER = struct.pack("ii", 1, 0)  # close by RST


@dataclass
class Ill:
    """What is done to the connections. All seconds; `loss` is per segment, `cut_after` bytes from upstream.

    `black_hole`: nothing passes, old connections or new. `half_open`: the peers of the connections that are
    there vanish, and their clients never hear of it; new connections pass. `answer`: status, reason and
    Retry-After that the next `answers` requests get, instead of being passed on, where a proxy ends TLS.
    """

    delay: float = 0.0
    loss: float = 0.0
    black_hole: bool = False
    half_open: bool = False
    cut_after: int | None = None
    answers: int = 0
    answer: tuple[int, str, int | None] = (503, "Service Unavailable", None)

    @property
    def is_none(self) -> bool:
        """A proxy that only passes on: the control of all the others."""
        return self == Ill()


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    deaf: bool = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                peer = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()


@dataclass
class Proxy:
    """Listens on `listen` (port 0: any) and passes on to `upstream`; a context manager, in its own thread.

    Faults are changed by setting `ill` through `strike`, from any thread; `struck` counts what met one. With
    `tls` it speaks that to upstream and plain text to its clients.
    """

    listen: tuple[str, int]
    upstream: tuple[str, int]
    ill: Ill = field(default_factory=Ill)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._connections: set[_Connection] = set()
        self._dice = random.Random(1)  # noqa: S311  no secret depends on it
        self.port = 0
        self.passed = self.struck = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, *self.listen))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def strike(self, ill: Ill) -> bool:
        """Let the connections fall ill; returns once it is so. False: there is none to be half-open yet."""

        async def work() -> bool:
            there = [c for c in self._connections if c.server is not None]
            if ill.half_open and not there:
                return False
            self.ill = ill
            for connection in there if ill.half_open else ():
                connection.deaf = True
                self.struck += 1
                if connection.server is not None:
                    connection.server.transport.abort()
            return True

        return bool(self._run(work()))

    def _run(self, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _end(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.cut()
        mine = asyncio.current_task()
        tasks = [t for t in asyncio.all_tasks() if t is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._connections.add(connection)
        try:
            if self.ill.black_hole:
                self.struck += 1
                await asyncio.Event().wait()
            there, connection.server = await asyncio.open_connection(*self.upstream, ssl=self.tls)
            ways = (self._carry(reader, connection.server, connection, down=False),
                    self._carry(there, writer, connection, down=True))  # fmt: skip
            await asyncio.gather(*ways)
        except OSError:
            connection.cut()
        except asyncio.CancelledError:
            return  # the proxy ends; asyncio would report a connection that was cancelled
        finally:
            self._connections.discard(connection)
            for end in (writer, connection.server):
                if end is not None:
                    end.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
        *,
        down: bool,
    ) -> None:
        """One direction. A delay line between reading and writing: delay costs time and no throughput."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

        async def read() -> None:
            data = b"-"
            while data:
                try:
                    data = await reader.read(_CHUNK)
                except OSError:
                    if not connection.deaf:
                        raise
                    data = b""
                await line.put((time.monotonic() + self.ill.delay, data))

        async def write() -> None:
            while True:
                due, data = await line.get()
                self.struck += bool(data) and (self.ill.is_none or self.ill.delay > 0)
                await asyncio.sleep(max(0.0, due - time.monotonic()) + self._stall(len(data)))
                if connection.deaf or self.ill.black_hole:
                    self.struck += 1
                    await asyncio.Event().wait()
                if not down and self.ill.answers and data.startswith(_METHODS):
                    await self._answer(connection)
                    return
                if not data:
                    with contextlib.suppress(OSError):
                        writer.write_eof() if writer.can_write_eof() else writer.close()
                    return
                await self._pass_on(data, writer, connection, down=down)

        await asyncio.gather(read(), write())

    def _stall(self, size: int) -> float:
        segments = -(-size // _SEGMENT)
        lost = self.ill.loss and self._dice.random() < 1 - (1 - self.ill.loss) ** segments
        self.struck += bool(lost)
        return _RETRANSMISSION if lost else 0.0

    async def _answer(self, connection: _Connection) -> None:
        """A request is taken to begin a chunk, as the clients here send it; its body is not waited for."""
        self.ill.answers -= 1
        self.struck += 1
        status, reason, retry_after = self.ill.answer
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason,
                           "reason": reason.replace(" ", ""), "code": status})  # fmt: skip
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        head += f"Retry-After: {retry_after}\r\n" if retry_after is not None else ""
        connection.client.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        with contextlib.suppress(OSError):
            await connection.client.drain()
            connection.client.write_eof()
        await asyncio.sleep(0.5)  # a body may still come; a reset would take the answer away
        raise ConnectionResetError

    async def _pass_on(
        self, data: bytes, writer: asyncio.StreamWriter, connection: _Connection, *, down: bool
    ) -> None:
        left = self.ill.cut_after if down else None
        writer.write(data if left is None else data[:left])
        await writer.drain()
        self.passed += len(data)
        if left is not None:
            self.struck += 1
            self.ill.cut_after = max(0, left - len(data))
            if not self.ill.cut_after:
                connection.cut()
                raise ConnectionResetError
