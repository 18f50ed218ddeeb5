"""What a run folder tells: the journal, folded into the things that the report shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runbook_lib.errors import ResumeError
from runbook_lib.journal import Entry
from runbook_lib.run.folder import RunFolder
from runbook_lib.steps.catalog import CATALOG

PHASES = ("check", "plan", "apply", "verify")


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


@dataclass(slots=True)
class Story:
    """One run: its steps in order, what it pushed, how the build went, with what it was run."""

    name: str
    started: str
    steps: list[StepStory]
    facts: dict[str, Any]
    parameters: dict[str, Any]
    versions: dict[str, str]

    @property
    def failure(self) -> StepStory | None:
        """The step that failed or was cut short, if one was."""
        bad = ("failed", "interrupted", "unfinished")
        return next((s for s in self.steps if s.status in bad), None)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all steps together."""
        return sum(s.seconds for s in self.steps)

    @property
    def vertices(self) -> list[dict[str, Any]]:
        """The steps of the build: name, begin, seconds, cached. Malformed ones are left out."""
        found = self.facts.get("build_vertices") or []
        return [
            {
                "name": str(v["name"]),
                "begin": float(v.get("begin") or 0.0),
                "seconds": float(v.get("seconds") or 0.0),
                "cached": bool(v.get("cached")),
            }
            for v in found
            if isinstance(v, dict) and v.get("name")
        ]


def read(folder: RunFolder) -> Story:
    """Fold the journal of `folder`. Works on any folder with a journal, also the interactive one."""
    try:
        manifest = folder.manifest()
    except ResumeError:
        manifest = {}  # a damaged run.json must not cost the reader the report
    entries = list(folder.journal.entries())
    seen = [e.step for e in entries if e.step in CATALOG]
    names = [n for n in manifest.get("steps") or dict.fromkeys(seen) if n in CATALOG]
    steps = {n: StepStory(n, CATALOG[n].title, CATALOG[n].notebook) for n in names}
    facts: dict[str, Any] = {}
    for entry in entries:
        if entry.kind == "fact":
            facts.update(entry.data)
        if entry.step in steps:
            _fold(steps[entry.step], entry)
    return Story(
        folder.path.name,
        str(manifest.get("started") or (entries[0].time if entries else "")),
        list(steps.values()),
        facts,
        manifest.get("parameters", {}),
        manifest.get("versions", {}),
    )


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
