"""BuildKit's `--progress=rawjson` on standard error: one SolveStatus a line, errors as plain text.

Shapes as in BuildKit v0.34 `client/graph.go`: vertexes, statuses, logs (base64), warnings. A vertex is
reported many times and may start more than once (cache key first, then the work); the last report wins.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runbook_lib.progress import Event
from runbook_lib.redaction import redact

LOG_LINES = 20  # kept per vertex
TEXT_LINES = 60  # kept of the plain text
_NEVER = datetime.max.replace(tzinfo=UTC)  # a time that cannot be read


@dataclass(slots=True)
class Vertex:
    """One step of the build graph: name, seconds of work, whether it was cached, its error or ""."""

    name: str
    seconds: float = 0.0
    cached: bool = False
    error: str = ""
    started: str = ""
    completed: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    def as_record(self) -> dict[str, Any]:
        """A plain dictionary {name, seconds, cached} for the journal."""
        return {"name": redact(self.name), "seconds": round(self.seconds, 3), "cached": self.cached}


class Progress:
    """Collects the vertices of one build from the lines of its progress stream."""

    def __init__(self) -> None:
        self.vertices: dict[str, Vertex] = {}
        self.text: deque[str] = deque(maxlen=TEXT_LINES)

    def feed(self, line: bytes) -> Iterator[Event]:
        """Take one line; yields what a watcher should see. Lines that are not JSON are kept as text."""
        try:
            status = json.loads(line)
        except ValueError:
            status = None
        if not isinstance(status, dict):
            text = line.decode(errors="replace").rstrip()
            if text:
                self.text.append(redact(text))
            return
        for report in _dicts(status, "vertexes"):
            yield from self._vertex(report)
        for report in _dicts(status, "statuses"):
            yield from self._status(report)
        for report in _dicts(status, "logs"):
            yield from self._log(report)

    @property
    def error(self) -> str:
        """What buildctl said at the end, after its `error: `, or ""."""
        found = [t.removeprefix("error: ") for t in self.text if t.startswith("error: ")]
        return found[-1] if found else (self.text[-1] if self.text else "")

    @property
    def failed(self) -> Vertex | None:
        """The vertex that failed by itself (not one that was cancelled because another failed)."""
        bad = [v for v in self.vertices.values() if v.error]
        return next((v for v in bad if "context canceled" not in v.error), bad[0] if bad else None)

    def records(self) -> list[dict[str, Any]]:
        """The table of vertices that did something, by their start: `begin` is seconds after the first."""
        done = [v for v in self.vertices.values() if v.completed or v.cached]
        origin = min((v.started for v in done), key=_moment, default="")
        rows = [{**v.as_record(), "begin": round(seconds_between(origin, v.started), 3)} for v in done]
        return sorted(rows, key=lambda row: float(row["begin"]))

    def _vertex(self, report: dict[str, Any]) -> Iterator[Event]:
        key = str(report.get("digest", ""))
        vertex = self.vertices.setdefault(key, Vertex(str(report.get("name", key))))
        before = vertex.completed
        vertex.started = report.get("started") or vertex.started
        vertex.completed = report.get("completed") or ""
        vertex.cached = bool(report.get("cached", vertex.cached))
        vertex.error = redact(str(report.get("error") or ""))
        if not vertex.completed:
            if report.get("started") and not before:
                yield Event(key, redact(vertex.name))
            return
        vertex.seconds = seconds_between(vertex.started, vertex.completed)
        mark = "ERROR" if vertex.error else "CACHED" if vertex.cached else f"{vertex.seconds:.1f} s"
        yield Event(key, f"{redact(vertex.name)}: {mark}", done=True)

    def _status(self, report: dict[str, Any]) -> Iterator[Event]:
        vertex = self.vertices.get(str(report.get("vertex", "")))
        if vertex is not None and report.get("total"):
            key = f"{report['vertex']}/{report.get('id', '')}"
            done = bool(report.get("completed"))
            message = redact(f"{vertex.name}: {report.get('id', '')}")
            yield Event(key, message, int(report.get("current", 0)), int(report["total"]), done)

    def _log(self, report: dict[str, Any]) -> Iterator[Event]:
        vertex = self.vertices.get(str(report.get("vertex", "")))
        try:
            data = base64.b64decode(str(report.get("data", "")), validate=True).decode(errors="replace")
        except ValueError:
            return
        for line in data.splitlines():
            if vertex is not None and line.strip():
                vertex.log.append(redact(line))
                yield Event(f"{report['vertex']}/log", redact(f"    {line}"))


def seconds_between(started: str, completed: str) -> float:
    """Seconds between two RFC 3339 times, which may carry nanoseconds; 0 where one cannot be read."""
    begun, ended = _moment(started), _moment(completed)
    return 0.0 if _NEVER in (begun, ended) else max(0.0, (ended - begun).total_seconds())


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return _NEVER


def _dicts(status: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = status.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
