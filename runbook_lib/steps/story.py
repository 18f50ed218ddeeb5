"""What a journal tells about the steps: shared by the report of a run and by the guided page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.journal import Entry
from runbook_lib.steps.catalog import CATALOG

PHASES = ("check", "plan", "apply", "verify")
FINISHED = ("done", "verified again")
_CANCELLED = ("StepCancelledError", "KeyboardInterrupt")


@dataclass(slots=True)
class StepStory:
    """One step: `status` is done, verified again, failed, interrupted, unfinished or not run.

    `verified` is the time (ISO 8601) of the newest verification, "" where that did not pass.
    """

    name: str
    title: str
    notebook: str
    status: str = "not run"
    verified: str = ""
    seconds: float = 0.0
    error: dict[str, str] = field(default_factory=dict)
    findings: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    phase_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def commands(self) -> list[str]:
        """The shell lines of the plan, with which a person does the same by hand."""
        return [
            line for c in self.changes if c.get("action") != "unchanged" for line in c.get("commands", [])
        ]


def tell(entries: Iterable[Entry], names: Iterable[str] = ()) -> tuple[dict[str, StepStory], dict[str, Any]]:
    """(stories by step, newest facts) of a journal; `names`: the steps to tell of, else those seen."""
    entries = list(entries)
    seen = dict.fromkeys(e.step for e in entries if e.step in CATALOG)
    chosen = [n for n in names if n in CATALOG] or list(seen)
    steps = {n: StepStory(n, CATALOG[n].title, CATALOG[n].notebook) for n in chosen}
    facts: dict[str, Any] = {}
    for entry in entries:
        if entry.kind == "fact":
            facts.update(entry.data)
        if entry.step in steps:
            _fold(steps[entry.step], entry)
    return steps, facts


def finished_steps(entries: Iterable[Entry]) -> set[str]:
    """The steps whose newest run in this journal finished. A memory only: they are verified again."""
    ends = {e.step: str(e.data.get("status")) for e in entries if e.phase == "run" and e.kind == "finished"}
    return {step for step, status in ends.items() if status in FINISHED}


def push_is_proven(entries: Iterable[Entry]) -> bool:
    """True where the step that pushed last was verified after that push, and has not failed since."""
    entries = list(entries)
    pushes = [e for e in entries if e.kind == "fact" and "pushed_digest" in e.data]
    if not pushes:
        return False
    # By time and not by place: a journal that begins anew has its facts first.
    newest = max(pushes, key=lambda e: e.time)
    return any(s.verified >= newest.time for s in tell(entries, [newest.step])[0].values())


def _fold(step: StepStory, entry: Entry) -> None:
    data = entry.data
    if entry.phase == "run" and entry.kind == "started":
        step.status, step.error = "unfinished", {}
        step.phase_seconds.pop("plan", None)
    elif entry.phase == "run" and entry.kind == "finished":
        step.status, step.seconds = str(data.get("status")), float(data.get("seconds", 0.0))
        step.error = _error_of(data.get("error"))
        step.verified = entry.time if step.status in FINISHED else ""
    elif entry.kind == "findings" and entry.phase in PHASES:
        step.findings[entry.phase] = data.get("items", [])
        step.phase_seconds[entry.phase] = float(data.get("seconds", 0.0))
    elif entry.kind == "plan" and ("plan" not in step.phase_seconds or _changes_anything(data)):
        # The last plan of a notebook proves that nothing is left to do; the first says what was done.
        step.changes = data.get("items", [])
        step.phase_seconds["plan"] = float(data.get("seconds", 0.0))
    if entry.phase == "verify" or (entry.phase == "apply" and entry.kind == "error"):
        _verification(step, entry)


def _changes_anything(data: dict[str, Any]) -> bool:
    return any(change.get("action") != "unchanged" for change in data.get("items", []))


def _error_of(record: Any) -> dict[str, str]:  # noqa: ANN401
    return {k: str(v) for k, v in record.items()} if isinstance(record, dict) else {}


def _verification(step: StepStory, entry: Entry) -> None:
    """The newest verification says how the step stands, and so does an error of apply.

    Within a run that is still going on, or was cut short, the run's own end is waited for.
    """
    step.verified = ""
    if entry.kind == "findings":
        items = entry.data.get("items", [])
        bad = [item for item in items if item.get("status") in ("fail", "blocked")]
        passed = bool(items) and not bad
        status = "done" if passed else "failed"
        step.verified = entry.time if passed else ""
        first = bad[0] if bad else {}
        error = {
            "what": first.get("message", "nothing was checked, so nothing is proven"),
            "where": first.get("subject", ""),
            "remedy": first.get("remedy", ""),
            "notebook": first.get("notebook", ""),
        }
    elif entry.kind == "error":
        status = "interrupted" if entry.data.get("type") in _CANCELLED else "failed"
        error = entry.data
    else:
        return
    if step.status != "unfinished":
        step.status, step.error = status, {} if status == "done" else _error_of(error)
        step.seconds = sum(step.phase_seconds.values())
