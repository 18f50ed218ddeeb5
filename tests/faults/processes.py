"""Questions about processes that may end while they are asked."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil


def name_of(process: psutil.Process) -> str:
    """The program's name; "" once it has ended."""
    try:
        return process.name()
    except psutil.Error:
        return ""


def variable_of(process: psutil.Process, name: str) -> str:
    """A variable of the environment it was started with; "" where there is none."""
    try:
        return process.environ().get(name, "")
    except (psutil.Error, OSError):
        return ""


def is_below(process: psutil.Process, ancestors: set[int]) -> bool:
    """Whether one of these process ids is an ancestor."""
    with contextlib.suppress(psutil.Error):
        return any(parent.pid in ancestors for parent in process.parents())
    return False


def resume(processes: Iterable[psutil.Process]) -> None:
    """SIGCONT to all that are still there."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)


def reap() -> None:
    """Collect the daemons that this process started and that have ended."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
