"""What a run folder tells: the journal, folded into the things that the report shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbook_lib.errors import ResumeError
from runbook_lib.run.folder import RunFolder
from runbook_lib.steps.story import PHASES, StepStory, push_is_proven, tell

__all__ = ["PHASES", "StepStory", "Story", "read"]


@dataclass(slots=True)
class Story:
    """One run: its steps in order, what it pushed, how the build went, with what it was run.

    `proven`: what was pushed last has been verified since.
    """

    name: str
    started: str
    steps: list[StepStory]
    facts: dict[str, Any]
    parameters: dict[str, Any]
    versions: dict[str, str]
    proven: bool = False

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
    steps, facts = tell(entries, manifest.get("steps") or ())
    return Story(
        folder.path.name,
        str(manifest.get("started") or (entries[0].time if entries else "")),
        list(steps.values()),
        facts,
        manifest.get("parameters", {}),
        manifest.get("versions", {}),
        push_is_proven(entries),
    )
