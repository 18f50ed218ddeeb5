"""File locks with a bounded wait that says what it waits for; a killed holder frees its lock at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sandbox.console import Reporter
from sandbox.errors import BusyError


@contextmanager
def hold(path: Path, what: str, timeout: float, reporter: Reporter) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block; `timeout` is in seconds.

    Raises BusyError when another process keeps it longer than that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.line(f"waiting up to {timeout:.0f} s for another command on {what}")
        try:
            lock.acquire(timeout=timeout, poll_interval=0.1)
        except Timeout:
            raise BusyError(
                "another command is at work",
                f"{what} ({path})",
                "Wait for it to end, or stop it, and try again.",
            ) from None
    try:
        yield
    finally:
        lock.release()
