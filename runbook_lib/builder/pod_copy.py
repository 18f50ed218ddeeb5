"""A file out of the builder's Pod, whole, although a stream of exec may end early."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from runbook_lib.errors import BuilderError, ChecksumError
from runbook_lib.progress import Event, Sink

_WHOLE = 100.0  # seconds for the copy in one stream
_LIMIT = 400.0  # seconds for all of it
_PIECE = 4 * 1024 * 1024  # bytes
_MOST_CUT = 5  # pieces that may come short before the line is given up

Ask = Callable[[list[str], float], bytes]
"""Runs a command in the Pod and gives what it printed: (command, timeout in seconds) -> bytes."""


def copy_out(ask: Ask, path: str, sha256: str, where: str, sink: Sink) -> bytes:
    """The content of `path`, which hashes to `sha256`.

    kubectl and API servers have cut streams short with exit code 0 (kubernetes #124571), slow lines above
    all. So what came is kept, the rest is asked for piece by piece, and only the sha256, computed in the Pod,
    tells that the copy is whole. A stream that ends in an error has brought nothing.

    Raises:
        ChecksumError: the bytes differ, or pieces come short again and again.
        BuilderError: the Pod cannot be asked.
    """
    deadline = time.monotonic() + _LIMIT
    body = _come(ask, ["cat", path], _WHOLE)
    if hashlib.sha256(body).hexdigest() == sha256:
        return body
    size, cut = int(ask(["stat", "-c", "%s", path], _left(deadline)) or 0), 0
    while len(body) < size:
        whole = len(body) // _PIECE
        sink(Event("buildctl", "the copy was cut short; asking for the rest", whole * _PIECE, size))
        piece = ["dd", f"if={path}", f"bs={_PIECE}", f"skip={whole}", "count=1"]
        body = body[: whole * _PIECE] + _come(ask, piece, _left(deadline))
        cut += len(body) < min(size, (whole + 1) * _PIECE)
        if cut > _MOST_CUT:
            raise ChecksumError(
                f"the copy is cut short again and again ({len(body)} of {size} bytes)",
                where=where,
                remedy="the line to the API server is bad: take buildctl from the release instead "
                "(buildctl_sources)",
            )
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ChecksumError(f"the copy is altered ({len(body)} bytes)", where=where)
    return body


def _come(ask: Ask, command: list[str], timeout: float) -> bytes:
    try:
        return ask(command, timeout)
    except BuilderError:
        return b""


def _left(deadline: float) -> float:
    return max(1.0, deadline - time.monotonic())
