"""A TCP proxy that treats its connections badly. It looks into nothing: what it carries stays TLS end to end.

Where the kernel has no netem, a lost segment is imitated by what TCP makes of it: everything behind it waits
until it is sent again, 200 ms at least (RFC 6298 and Linux's TCP_RTO_MIN).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

_SEGMENT = 1460  # bytes
_RETRANSMISSION = 0.2  # seconds
_CHUNK = 16 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)  # close by RST


@dataclass
class Ill:
    """What is done to the connections. All seconds; `loss` is per segment, `cut_after` bytes from upstream.

    `black_hole`: nothing passes, old connections or new. `half_open`: the peers of the connections that are
    there vanish, and their clients never hear of it; new connections pass.
    """

    delay: float = 0.0
    loss: float = 0.0
    black_hole: bool = False
    half_open: bool = False
    cut_after: int | None = None


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

    Faults are changed by setting `ill` through `strike`, from any thread.
    """

    listen: tuple[str, int]
    upstream: tuple[str, int]
    ill: Ill = field(default_factory=Ill)

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._connections: set[_Connection] = set()
        self._dice = random.Random(1)  # noqa: S311  no secret depends on it
        self.port = 0
        self.passed = 0

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

    def strike(self, ill: Ill) -> None:
        """Let the connections fall ill; returns once it is so."""

        async def work() -> None:
            self.ill = ill
            for connection in self._connections if ill.half_open else ():
                connection.deaf = True
                if connection.server is not None:
                    connection.server.transport.abort()

        self._run(work())

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
                await asyncio.Event().wait()
            there, connection.server = await asyncio.open_connection(*self.upstream)
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
                await asyncio.sleep(max(0.0, due - time.monotonic()) + self._stall(len(data)))
                if connection.deaf or self.ill.black_hole:
                    await asyncio.Event().wait()
                if not data:
                    with contextlib.suppress(OSError):
                        writer.write_eof()
                    return
                await self._pass_on(data, writer, connection, down=down)

        await asyncio.gather(read(), write())

    def _stall(self, size: int) -> float:
        segments = -(-size // _SEGMENT)
        lost = self.ill.loss and self._dice.random() < 1 - (1 - self.ill.loss) ** segments
        return _RETRANSMISSION if lost else 0.0

    async def _pass_on(
        self, data: bytes, writer: asyncio.StreamWriter, connection: _Connection, *, down: bool
    ) -> None:
        left = self.ill.cut_after if down else None
        writer.write(data if left is None else data[:left])
        await writer.drain()
        self.passed += len(data)
        if left is not None:
            self.ill.cut_after = max(0, left - len(data))
            if not self.ill.cut_after:
                connection.cut()
                raise ConnectionResetError
