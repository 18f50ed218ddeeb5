"""Bodies on their way through: never held whole, cut or corrupted where a fault says so."""

from collections.abc import AsyncIterator

from sandbox.double.faults import Action, Corrupt, Cut


class CutNow(Exception):  # noqa: N818 - a signal on the way out of a stream, not an error of anyone's
    """The fault's byte count is reached: the client's connection is to be cut."""


class Counted:
    """Wraps a stream of chunks and counts its bytes; `cut` tells whether a fault has ended it."""

    def __init__(self, chunks: AsyncIterator[bytes], action: Action | None, side: str) -> None:
        self._chunks = chunks
        self._action = action if isinstance(action, Cut | Corrupt) and action.side == side else None
        self.count = 0
        self.cut = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, altered as the fault says. Raises CutNow at the byte where the connection is to end."""
        action = self._action
        async for original in self._chunks:
            chunk = original
            if isinstance(action, Corrupt) and self.count == 0 and chunk:
                chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
            if isinstance(action, Cut) and self.count + len(chunk) >= action.after_bytes:
                rest = chunk[: action.after_bytes - self.count]
                self.count += len(rest)
                if rest:
                    yield rest
                self.cut = True
                raise CutNow
            self.count += len(chunk)
            yield chunk


async def peek(chunks: AsyncIterator[bytes], limit: int) -> tuple[bytes, bool]:
    """The bytes of the stream up to its end or until more than `limit` were read, and whether it ended."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > limit:
            return bytes(head), False
    return bytes(head), True


async def chain(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`head`, then what is left of the stream."""
    if head:
        yield head
    async for chunk in rest:
        yield chunk
