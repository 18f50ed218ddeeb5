"""What was asked of the double: counters and the last requests, never a credential, token or query string."""

from collections import Counter, deque
from dataclasses import asdict, dataclass, field

KEPT_REQUESTS = 1000


@dataclass(frozen=True)
class Entry:
    """One request: `time` in seconds since the epoch, `status` 0 when no whole answer was given."""

    time: float
    method: str
    path: str
    status: int
    subject: str
    bytes_in: int
    bytes_out: int
    milliseconds: float
    fault: str = ""
    rule: str = ""

    def line(self) -> str:
        """The log line."""
        notes = "".join(
            f" {name}={value}" for name, value in (("fault", self.fault), ("rule", self.rule)) if value
        )
        return (
            f"{self.method} {self.path} status={self.status} subject={self.subject or '-'} "
            f"in={self.bytes_in} out={self.bytes_out} ms={self.milliseconds:.1f}{notes}"
        )


@dataclass
class Journal:
    """Counters since the start or the last clearing, and the last KEPT_REQUESTS entries."""

    total: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_method: Counter[str] = field(default_factory=Counter)
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def add(self, entry: Entry) -> None:
        """Count and keep one request."""
        self.total += 1
        self.by_status[entry.status] += 1
        self.by_method[entry.method] += 1
        self.entries.append(entry)

    def clear(self) -> None:
        """Forget everything."""
        self.total = 0
        self.by_status.clear()
        self.by_method.clear()
        self.entries.clear()

    def describe(self) -> dict[str, object]:
        """The whole as JSON: total, by_status, by_method, requests (oldest first)."""
        return {
            "total": self.total,
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            "by_method": dict(sorted(self.by_method.items())),
            "requests": [asdict(entry) for entry in self.entries],
        }
