"""What a journal tells about the steps: shared by the report of a run and by the guided page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.journal import Entry
from runbook_lib.steps.catalog import CATALOG

PHASES = ("check", "plan", "apply", "verify")
FINISHED = ("done", "verified again")


@dataclass(slots=True)
class StepStory:
    """One step: `status` is done, verified again, failed, interrupted, unfinished or not run."""

    name: str
    title: str
    notebook: str
    status: str = "not run"
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


def _fold(step: StepStory, entry: Entry) -> None:
    data = entry.data
    if entry.phase == "run" and entry.kind == "started":
        step.status, step.error = "unfinished", {}
        step.phase_seconds.pop("plan", None)
    elif entry.phase == "run" and entry.kind == "finished":
        step.status, step.seconds = str(data.get("status")), float(data.get("seconds", 0.0))
        step.error = {k: str(v) for k, v in (data.get("error") or {}).items()}
    elif entry.kind == "findings" and entry.phase in PHASES:
        step.findings[entry.phase] = data.get("items", [])
        step.phase_seconds[entry.phase] = float(data.get("seconds", 0.0))
        _interactive(step, entry)
    elif entry.kind == "plan" and ("plan" not in step.phase_seconds or _changes_anything(data)):
        # The last plan of a notebook proves that nothing is left to do; the first says what was done.
        step.changes = data.get("items", [])
        step.phase_seconds["plan"] = float(data.get("seconds", 0.0))


def _changes_anything(data: dict[str, Any]) -> bool:
    return any(change.get("action") != "unchanged" for change in data.get("items", []))


def _interactive(step: StepStory, entry: Entry) -> None:
    """Without a headless run around it, a verification says how the step stands."""
    if step.status == "not run" and entry.phase == "verify":
        bad = any(item.get("status") in ("fail", "blocked") for item in entry.data.get("items", []))
        step.status = "failed" if bad else "done"
        step.seconds = sum(step.phase_seconds.values())
