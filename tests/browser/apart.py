"""Run a program in a network namespace of its own, where only the host's loopback can be reached, by SOCKS 5.

    apart.py PROGRAM ARGUMENT…

Chromium drops all that it is loading whenever an interface of the host comes or goes, as with each Pod of a
sandbox (ERR_NETWORK_CHANGED). In here nothing comes or goes. Needs root. Both processes end together.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

PORT = 1080
PROXY = (f"--proxy-server=socks5://127.0.0.1:{PORT}", "--proxy-bypass-list=<-loopback>")
_CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x40000000, 1
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_IPV4, _NAME = 1, 3  # SOCKS 5: the kinds of address (RFC 1928)
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Become the program; a child of it stays behind as its way out."""
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    _succeed(_libc.unshare(_CLONE_NEWNET))
    _bring_loopback_up()
    listening = socket.create_server(("127.0.0.1", PORT))
    parent = os.getpid()
    if os.fork():
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606
    _succeed(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    if os.getppid() == parent:
        _succeed(_libc.setns(outside, _CLONE_NEWNET))
        for descriptor in (0, 3, 4):  # 3 and 4 are the pipes by which the program is driven
            if descriptor not in (listening.fileno(), outside):
                os.close(descriptor)
        asyncio.run(_serve(listening))


def _succeed(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


async def _serve(listening: socket.socket) -> None:
    server = await asyncio.start_server(_connection, sock=listening)
    await server.serve_forever()


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        host, port = await _asked_for(reader)
        there, here = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await asyncio.gather(_copy(reader, here), _copy(there, writer))
    except (OSError, EOFError):
        writer.close()


async def _asked_for(reader: asyncio.StreamReader) -> tuple[str, int]:
    _, _, _, kind = await reader.readexactly(4)
    if kind == _NAME:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    elif kind == _IPV4:
        host = socket.inet_ntoa(await reader.readexactly(4))
    else:
        raise ConnectionError("only IPv4 and names are spoken here")
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    main()
