"""A bound in time for library calls that offer none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def bounded(work: Callable[[], Result], seconds: float, name: str) -> Result:
    """Run `work` in a daemon thread and return its result or raise its error.

    A call that hangs is left behind in its thread, which does not keep the process alive.

    Raises:
        TimeoutError: `work` did not end within `seconds`.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as e:  # noqa: BLE001 - handed over to the caller's thread, whole
            errors.append(e)

    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s: {name}")
    if errors:
        raise errors[0]
    return results[0]
