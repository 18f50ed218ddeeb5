"""Live events from a running step to whoever watches: a notebook cell, a terminal, a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from runbook_lib.redaction import redact


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `current`/`total` (any unit, e.g. bytes) are 0 where unknown.

    `key` names the moving thing (a vertex digest, a file name, a pod) so that a watcher can
    update one bar instead of adding lines; `done` ends it.
    """

    key: str
    message: str
    current: int = 0
    total: int = 0
    done: bool = False

    def as_record(self) -> dict[str, object]:
        """A plain dictionary for the journal."""
        return asdict(self)


Sink = Callable[[Event], None]


def print_sink(event: Event) -> None:
    """Write an event as one plain line: what notebooks and logs use."""
    size = f" ({event.current}/{event.total})" if event.total and not event.done else ""
    print(f"  · {redact(event.message)}{size}", flush=True)


def silent_sink(event: Event) -> None:
    """Drop events: for callers who only want the result."""
    del event
