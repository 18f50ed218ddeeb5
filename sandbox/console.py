"""Progress for people: a live bar on a terminal, plain lines with elapsed time anywhere else.

Everything goes to standard error, so that standard output stays for results (`env`, `--json`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# A line this often (seconds) while a long task says nothing else, when there is no terminal to redraw.
_HEARTBEAT = 15.0


class Task(Protocol):
    """What a long piece of work may report."""

    def update(self, done: int, total: int | None, detail: str) -> None:
        """Say how many of how many parts are done (total None: not known) and which one is at work."""


class Reporter:
    """Writes progress to standard error; `quiet` keeps only warnings."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet

    def line(self, text: str) -> None:
        """One line of progress."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """One line that is shown even when quiet."""
        self._console.print(f"warning: {text}", markup=False)

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        """A long piece of work; says when it begins, goes on, and how long it took."""
        started = time.monotonic()
        if self._quiet:
            yield _Silent()
            return
        if not self._console.is_terminal:
            self.line(f"{title} …")
            yield _Lines(self, title, started)
        else:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            with Progress(*columns, TextColumn("{task.fields[detail]}"), console=self._console) as progress:
                yield _Bar(progress, title)
        self.line(f"{title}: done in {time.monotonic() - started:.1f} s")


class _Silent:
    def update(self, done: int, total: int | None, detail: str) -> None:
        """Nothing to show."""


class _Lines:
    def __init__(self, reporter: Reporter, title: str, started: float) -> None:
        self._reporter, self._title, self._started = reporter, title, started
        self._last = started

    def update(self, done: int, total: int | None, detail: str) -> None:
        now = time.monotonic()
        if now - self._last < _HEARTBEAT:
            return
        self._last = now
        parts = f"{done}/{total}" if total else str(done)
        self._reporter.line(f"{self._title}: {parts} {detail} ({now - self._started:.0f} s)")


class _Bar:
    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, detail="")

    def update(self, done: int, total: int | None, detail: str) -> None:
        self._progress.update(self._task, completed=done, total=total, detail=detail)
