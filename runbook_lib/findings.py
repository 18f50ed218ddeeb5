"""What a check or a verification found: a list of findings with a status and a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from runbook_lib.errors import BlockedError, RunbookError


class Status(StrEnum):
    """Outcome of one finding, from best to worst: skip, ok, warn, blocked, fail."""

    SKIP = "skip"
    OK = "ok"
    WARN = "warn"
    BLOCKED = "blocked"
    FAIL = "fail"


_ORDER = list(Status)
_MARKS = {Status.SKIP: "–", Status.OK: "✓", Status.WARN: "!", Status.BLOCKED: "⏸", Status.FAIL: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about one subject.

    `evidence` is what was seen (an API answer, a line of a log), never a secret; `remedy` says
    what to do about it; `notebook` names the notebook that mends it, or "".
    """

    status: Status
    subject: str
    message: str
    evidence: str = ""
    remedy: str = ""
    notebook: str = ""

    @classmethod
    def of_error(cls, error: RunbookError, subject: str = "", status: Status = Status.FAIL) -> Finding:
        """Turn a typed error into a finding, so that checks can go on after the first one."""
        return cls(status, subject or error.where, error.what, "", error.remedy, error.notebook)

    def __str__(self) -> str:
        """One line, and one more for the evidence and for the remedy where there are any."""
        lines = [f"{_MARKS[self.status]} {self.status.value:<7} {self.subject}: {self.message}"]
        if self.evidence:
            lines.append(f"    seen:   {self.evidence}")
        if self.remedy and self.status not in (Status.OK, Status.SKIP):
            lines.append(f"    remedy: {self.remedy}")
        return "\n".join(lines)


class Findings:
    """An immutable list of findings that knows its worst status and how to show itself."""

    def __init__(self, items: Iterable[Finding] = ()) -> None:
        self.items = tuple(items)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def worst(self) -> Status:
        """The worst status in the list; `ok` for an empty one is refused: it would prove nothing."""
        if not self.items:
            return Status.BLOCKED
        return max((f.status for f in self.items), key=_ORDER.index)

    @property
    def passed(self) -> bool:
        """True when there is at least one finding and none is `fail` or `blocked`."""
        return self.worst not in (Status.FAIL, Status.BLOCKED)

    def require(self, title: str) -> Findings:
        """Return self when passed, else raise `BlockedError` that lists what to mend.

        Raises:
            BlockedError: at least one finding is `fail` or `blocked`, or the list is empty.
        """
        if self.passed:
            return self
        bad = [f for f in self.items if f.status in (Status.FAIL, Status.BLOCKED)]
        if not bad:
            raise BlockedError("nothing was checked, so nothing is proven", where=title)
        what = "; ".join(f"{f.subject}: {f.message}" for f in bad)
        remedy = "; ".join(dict.fromkeys(f.remedy for f in bad if f.remedy))
        notebook = next((f.notebook for f in bad if f.notebook), "")
        raise BlockedError(what, where=title, remedy=remedy, notebook=notebook)

    def as_records(self) -> list[dict[str, str]]:
        """Plain dictionaries for the journal and the report."""
        return [{**asdict(f), "status": f.status.value} for f in self.items]

    def __str__(self) -> str:
        return "\n".join(str(f) for f in self.items) or "(nothing found)"

    def _repr_markdown_(self) -> str:
        rows = ["| | subject | found | remedy |", "|---|---|---|---|"]
        for f in self.items:
            found = f.message + (f"<br><small>{f.evidence}</small>" if f.evidence else "")
            remedy = f.remedy if f.status not in (Status.OK, Status.SKIP) else ""
            cells = [f"{_MARKS[f.status]} {f.status.value}", f.subject, found, remedy]
            rows.append("| " + " | ".join(c.replace("|", "\\|").replace("\n", "<br>") for c in cells) + " |")
        return "\n".join(rows)
