"""A bound in time for library calls that offer none, or none for the whole."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_GRACE = 0.5  # seconds in which a thread that is told to end mostly does


def bounded(work: Callable[[], Result], seconds: float, name: str) -> Result:
    """Run `work` in a daemon thread and return its result or raise its error.

    Where it does not end in time, or the caller is interrupted, SystemExit is raised in that thread: it
    unwinds and closes what it had open as soon as the call it is in returns to Python, as a read does with
    each byte and at its own time-out. Until then it is left behind, and does not keep the process alive.

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
    try:
        thread.join(seconds)
    finally:
        late = thread.is_alive()
        if late:
            _end(thread)
    if late:
        raise TimeoutError(f"no answer within {seconds:g} s: {name}")
    if errors:
        raise errors[0]
    return results[0]


def _end(thread: threading.Thread) -> None:
    if thread.ident is not None:
        ident, how = ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, how)
    thread.join(_GRACE)
