"""The live view of a run: it follows the journal, which the kernels write, and prints what happens."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import humanize
from rich.console import Console
from rich.status import Status as Spinner
from rich.text import Text

from runbook_lib.errors import JournalError
from runbook_lib.journal import Entry

_EVENT_PAUSE = 1.0  # seconds between two plain lines about the same moving thing
_STYLES = {"fail": "red", "blocked": "yellow", "warn": "yellow", "ok": "green", "skip": "dim"}
_PHASES = {"check": "checking", "plan": "planning", "apply": "applying", "verify": "verifying"}


class Tail:
    """Reads what was appended to a JSON-lines file since the last call; a half-written line waits."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_end and path.exists() else 0

    def fresh(self) -> list[Entry]:
        """The entries that are new since the last call, oldest first.

        Raises:
            JournalError: the file is there and cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        except OSError as e:
            raise JournalError(f"cannot read the run journal: {e.strerror}", where=str(self._path)) from e
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            try:
                found.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found


class Watcher:
    """Prints entries. In a terminal the present phase spins in the last line; elsewhere plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner: Spinner | None = None
        self._doing = ""
        self._printed: dict[str, float] = {}

    def step(self, number: int, total: int, name: str, title: str) -> None:
        """Announce a step."""
        self._line(Text.assemble((f"[{number}/{total}] {title}", "bold"), f"  {name}"))
        self._busy("starting the kernel")

    def step_done(self, status: str, seconds: float) -> None:
        """Say how a step ended."""
        self.idle()
        style = "red" if status in ("failed", "interrupted") else "green"
        self._line(Text.assemble("  ", (status, style), f" in {seconds:.1f} s"))

    def note(self, text: str) -> None:
        """One line that belongs to no step."""
        self._line(Text(text))

    def idle(self) -> None:
        """Take the spinner off the screen."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def show(self, entry: Entry) -> None:
        """Print one journal entry, where it is worth a line."""
        if entry.kind == "started" and entry.phase in _PHASES:
            self._doing = _PHASES[entry.phase]
            self._busy(self._doing)
        elif entry.kind == "event":
            self._event(entry.data)
        elif entry.kind == "findings":
            self._findings(entry)
        elif entry.kind == "plan":
            self._plan(entry)

    def _event(self, data: dict[str, Any]) -> None:
        message, key = str(data.get("message", "")), str(data.get("key", ""))
        size = _size(data)
        if self._console.is_terminal:
            self._busy(f"{self._doing}: {message}{size}")
            return
        now = time.monotonic()
        if data.get("done") or now - self._printed.get(key, -_EVENT_PAUSE) >= _EVENT_PAUSE:
            self._printed[key] = now
            self._line(Text(f"  · {message}{size}"))

    def _findings(self, entry: Entry) -> None:
        items = entry.data.get("items", [])
        counted = Counter(str(item.get("status")) for item in items)
        said = ", ".join(f"{n} {status}" for status, n in counted.items()) or "nothing found"
        self._line(Text(f"  {entry.phase:<7} {entry.data.get('seconds', 0.0):6.2f} s  {said}"))
        for item in items:
            status = str(item.get("status"))
            if status in ("warn", "blocked", "fail"):
                text = Text.assemble(
                    "    ", (status, _STYLES[status]), f" {item['subject']}: {item['message']}"
                )
                self._line(text)

    def _plan(self, entry: Entry) -> None:
        counted = Counter(str(change.get("action")) for change in entry.data.get("items", []))
        said = ", ".join(f"{n} {action}" for action, n in counted.items()) or "no changes"
        self._line(Text(f"  {entry.phase:<7} {entry.data.get('seconds', 0.0):6.2f} s  {said}"))

    def _busy(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        shown = Text(f"{text} …")
        if self._spinner is None:
            self._spinner = self._console.status(shown)
            self._spinner.start()
        else:
            self._spinner.update(shown)

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _size(data: dict[str, Any]) -> str:
    """Counts below ten thousand are steps or layers, above they are bytes."""
    current, total = int(data.get("current", 0)), int(data.get("total", 0))
    if not total:
        return ""
    if total < 10_000:
        return f" ({current}/{total})"
    return f" ({humanize.naturalsize(current)} of {humanize.naturalsize(total)})"
