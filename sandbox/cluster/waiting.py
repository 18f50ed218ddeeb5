"""Bounded waits that say what they wait for."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from sandbox.cluster.processes import tail
from sandbox.errors import WaitTimeoutError

_PAUSE = 0.05


def wait_for(
    what: str, check: Callable[[], bool], seconds: float, log: Path, failed: Callable[[], str]
) -> None:
    """Return as soon as `check` is true. A connection that fails counts as not yet.

    `failed` names a component that has died, or is empty: then the wait ends at once. Raises WaitTimeoutError
    with what was waited for and the end of `log`.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if check():
                return
            last = "not yet"
        except (httpx.HTTPError, OSError, ValueError) as error:
            last = f"{type(error).__name__}: {error}"
        dead = failed()
        if dead or time.monotonic() >= deadline:
            why = f"{dead} ended" if dead else f"{seconds:.0f} s were not enough"
            raise WaitTimeoutError(
                f"waited for {what}, but {why} (last answer: {last})",
                f"{log}\n    {tail(log)}",
                "Read the log; `python -m sandbox up` tries again, `python -m sandbox reset` starts afresh.",
            )
        time.sleep(_PAUSE)
