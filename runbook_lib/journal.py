"""The run journal: JSON lines that every step writes and the next notebook, run or page reads.

It lives below `steps` (and not in `run`) because steps write it and the page and the report read it.
A journal entry is a memory, never a proof: on resume the world is verified again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbook_lib.errors import JournalError
from runbook_lib.redaction import redact
from runbook_lib.small_files import replacing

FILE_NAME = "journal.jsonl"
SET_ASIDE = "journal.old.jsonl"
MOST_BYTES = 4 << 20  # of the journal that notebooks and the guided page share; a headless run has its own
_KEPT = 300  # entries that a journal begins anew with, beside the facts
_PATIENCE = 2.0  # seconds for which one writer waits for another
_TRIES = 10  # to open the file that has the name; some network file systems number a file anew each time


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: UTC time (ISO 8601), step name, phase (check, plan, apply, verify, run), kind, data."""

    time: str
    step: str
    phase: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


class Journal:
    """Append-only writer and reader of one `journal.jsonl`."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.path = run_dir / FILE_NAME

    def write(self, step: str, phase: str, kind: str, **data: Any) -> Entry:  # noqa: ANN401
        """Append one entry; `kind` is findings, plan, event, fact, started, finished or error.

        One `write(2)` on an O_APPEND descriptor, so that lines of two processes never mix.

        Raises:
            JournalError: the folder cannot be made or the file not written.
        """
        entry = Entry(datetime.now(UTC).isoformat(timespec="milliseconds"), step, phase, kind, data)
        record = {"time": entry.time, "step": step, "phase": phase, "kind": kind, "data": data}
        line = redact(json.dumps(record, ensure_ascii=False, default=str)) + "\n"
        self._append(line)
        return entry

    def trim(self, most: int = MOST_BYTES) -> None:
        """Begin anew where the file has more than `most` bytes: all facts and the newest entries go on.

        The old file stays as SET_ASIDE until the next time. Events, which are most of a journal, stay there.

        Raises:
            JournalError: the file cannot be read, set aside or written.
        """
        with self._explained():
            try:
                if self.path.stat().st_size <= most:
                    return
            except FileNotFoundError:
                return
        with self._explained(), self._open(fcntl.LOCK_EX) as (descriptor, is_ours):
            if is_ours and os.fstat(descriptor).st_size > most:  # another may have been faster
                self._begin_anew()

    def _begin_anew(self) -> None:
        facts: dict[str, Entry] = {}
        newest: deque[Entry] = deque(maxlen=_KEPT)  # a page's memory would keep what all of them took
        for entry in self.entries():
            if entry.kind == "fact":
                facts |= {name: replace(entry, data={name: value}) for name, value in entry.data.items()}
            elif entry.kind != "event":
                newest.append(entry)
        lines = [json.dumps(asdict(e), ensure_ascii=False) + "\n" for e in [*facts.values(), *newest]]
        # A copy: while the journal's name leads nowhere, another writer would begin one of its own.
        with self.path.open("rb") as old, replacing(self.path.with_name(SET_ASIDE)) as aside:
            shutil.copyfileobj(old, aside)
        with replacing(self.path) as anew:
            anew.write("".join(lines).encode())

    def _append(self, text: str) -> None:
        with self._explained():
            self.run_dir.mkdir(parents=True, exist_ok=True)
            with self._open(fcntl.LOCK_SH) as (descriptor, _):
                data = (_line_end_owed(descriptor) + text).encode()
                if os.write(descriptor, data) < len(data):  # a disk that is nearly full takes a part
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def _open(self, lock: int) -> Iterator[tuple[int, bool]]:
        """A descriptor of the journal and whether it is locked: shared to append, alone to begin anew.

        While the lock was waited for, the journal may have begun anew: then the file has the name no more.
        """
        for left in reversed(range(_TRIES)):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                is_ours = _lock(descriptor, lock)
                if self._is_at_its_name(descriptor) or not left:
                    yield descriptor, is_ours
                    return
            finally:
                os.close(descriptor)

    def _is_at_its_name(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise JournalError(
                f"cannot write the run journal: {e.strerror}",
                where=str(self.path),
                remedy="give a writable folder in the parameter run_dir",
            ) from e

    def fact(self, step: str, **facts: Any) -> None:  # noqa: ANN401
        """Record facts that later steps look up, such as the path of buildctl."""
        self.write(step, "apply", "fact", **facts)

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first. A last line cut short by a kill is passed over.

        Raises:
            JournalError: the file exists and cannot be read.
        """
        try:
            # Line by line: read whole, a page's memory would grow with its journal.
            with self.path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        entry = Entry(**json.loads(line))
                    except (ValueError, TypeError):
                        continue
                    yield entry
        except FileNotFoundError:
            return
        except OSError as e:
            raise JournalError(f"cannot read the run journal: {e.strerror}", where=str(self.path)) from e

    def look_up(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """The newest value recorded for fact `name` by any step, or `default`."""
        value = default
        for entry in self.entries():
            if entry.kind == "fact" and name in entry.data:
                value = entry.data[name]
        return value


def _lock(descriptor: int, lock: int) -> bool:
    """Whether nobody else is at the file in another way. Bounded: the other process may be stopped."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        except OSError:  # some network file systems have no locks
            return True
        else:
            return True


def _line_end_owed(descriptor: int) -> str:
    """A line end, where a killed writer left its last line unfinished: the next line must not join it."""
    size = os.fstat(descriptor).st_size
    return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""
