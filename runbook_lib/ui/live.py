"""What a running step says: one bar for each moving thing, and a log."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from runbook_lib.progress import Event
from runbook_lib.ui.markup import esc
from runbook_lib.ui.said import said
from runbook_lib.ui.texts import t

_LOG_LINES = 400
_VERTEX = "sha256:"  # how the key of a build step begins
_ROWS = 40  # a build of hundreds of vertices shows the newest


@dataclass(slots=True)
class _Row:
    message: str
    current: int = 0
    total: int = 0
    done: bool = False


class Live:
    """Takes events from the working thread; draws them when the page asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._now = ""
        self._settled = False
        self.changed = False

    def clear(self) -> None:
        """Forget the bars of an earlier action; the log is kept."""
        with self._lock:
            self._rows.clear()
            self._settled, self._now, self.changed = False, "", True

    def take(self, event: Event) -> None:
        """An event from a step; thread-safe."""
        of_build = event.key.startswith(_VERTEX)
        message = event.message if of_build else said(event.message)
        with self._lock:
            if not event.total or event.done:
                self._log.append(message)
            if event.total or (of_build and not event.key.endswith("/log")):
                self._rows[event.key] = _Row(message, event.current, event.total, event.done)
            else:
                self._now = message
            self.changed = True

    def settle(self) -> None:
        """Nothing is at work any more: what has not ended stands still."""
        with self._lock:
            self._settled, self._now, self.changed = True, "", True

    def note(self, text: str) -> None:
        """A line for the log alone."""
        with self._lock:
            self._log.append(text)
            self.changed = True

    def bars(self) -> str:
        """HTML of the bars, newest last, and of the last word of what has no bar."""
        with self._lock:
            rows, settled, now = list(self._rows.values())[-_ROWS:], self._settled, self._now
        text = "".join(_bar(r, settled=settled) for r in rows)
        text += f'<div class="bkr-now">{esc(now)}</div>' if now else ""
        return f'<div class="bkr-bars">{text}</div>' if text else ""

    def log(self) -> str:
        """HTML of the log."""
        with self._lock:
            lines = list(self._log)
        text = "\n".join(esc(line) for line in lines) or esc(t("Nothing has been said yet."))
        return f'<pre class="bkr-log" tabindex="0" role="log" aria-label="{esc(t("Log"))}">{text}</pre>'


def _bar(row: _Row, *, settled: bool) -> str:
    name, _, end = row.message.rpartition(": ") if row.done else (row.message, "", "")
    cached = end == "CACHED"
    moving = "stopped" if settled else "moving"
    look = "cached" if cached else "error" if end == "ERROR" else "done" if row.done else moving
    share = 100.0 if row.done else 100.0 * row.current / row.total if row.total else 0.0
    value = f' aria-valuenow="{share:.0f}"' if row.done or row.total else ""
    if not row.done and not row.total and not settled:
        look += " bkr-unknown"
    label = esc(name or row.message)
    return (
        f'<div class="bkr-bar bkr-bar-{look}"><span class="bkr-bar-name" title="{label}">{label}</span>'
        f'<span class="bkr-track" role="progressbar" aria-label="{label}" aria-valuemin="0" '
        f'aria-valuemax="100"{value}><i style="width:{share:.1f}%"></i></span>'
        f'<span class="bkr-bar-end">{esc(t(end) if cached else end)}</span></div>'
    )
