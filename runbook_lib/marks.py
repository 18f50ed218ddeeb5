"""Processes with a mark in their environment: all below them inherit it, so that orphans are found too."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import psutil


def marked(name: str) -> Iterator[tuple[psutil.Process, str]]:
    """The living processes, but this one, in whose environment the variable `name` is set; with its value."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            mark = process.environ().get(name)
        except (psutil.Error, OSError):
            continue
        if mark:
            yield process, mark


def end(look: Callable[[], list[psutil.Process]], grace: float) -> int:
    """End the processes that `look` finds, first by SIGTERM, after `grace` seconds by SIGKILL; how many."""
    found = look()
    for process in found:
        _send(process, signal.SIGTERM)
    _, left = psutil.wait_procs(found, timeout=grace)
    for process in [*left, *look()]:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=grace)
    return len(found)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
