"""The report of a run: one HTML file that needs nothing else, in light and in dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from runbook_lib.redaction import redact
from runbook_lib.run import story
from runbook_lib.run.files import write_atomically
from runbook_lib.run.folder import REPORT, RunFolder

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗", "blocked": "⏸", "skip": "–"}
# What no check of this project can prove: said in every report, so that nobody reads more into it.
UNVERIFIED = (
    "Whether OCIR takes BuildKit cache manifests: the source document says no, no primary source was found.",
    "OCIR's login, token and error rules: modelled on its documentation and on public code.",
    "CRI-O's short-name enforcement and the pull of the builder image on OKE nodes.",
    "OKE virtual nodes: documented to answer exec with 501, so kube-pod:// cannot work there.",
)


def write(folder: RunFolder) -> Path:
    """Write `report.html` of `folder` from its journal and return its path.

    Raises:
        JournalError: the journal cannot be read. RunError: the report cannot be written.
    """
    path = folder.path / REPORT
    write_atomically(path, redact(render(story.read(folder))))
    return path


def summary(folder: RunFolder) -> list[str]:
    """The run in a few lines: how soon the builder was ready, what was pushed, where the report is."""
    told = story.read(folder)
    facts = told.facts
    lines = []
    if facts.get("builder_pod") and facts.get("builder_namespace"):  # not where step 3 ran alone
        took = facts.get("builder_ready_seconds")
        ready = f"Ready {took:.1f} s after it was applied" if took else "was Ready already"
        lines.append(f"builder: {facts['builder_namespace']}/{facts['builder_pod']} {ready}")
    word = "pushed:  " if told.proven else "pushed, not proven: "
    lines += [f"{word}{reference}" for reference in facts.get("pushed_references", [])]
    if facts.get("pushed_digest"):
        lines.append(f"digest:  {facts['pushed_digest']}")
    return [*(redact(line) for line in lines), f"report:  {folder.path / REPORT}"]


def render(told: story.Story) -> str:
    """The HTML text of a story. Every value is escaped: cluster and build say what they like."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("runbook_lib.run", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["seconds"] = _seconds
    environment.filters["changes"] = lambda n: "nothing to change" if not n else f"{n} change{'s' * (n > 1)}"
    environment.filters["diff_lines"] = _diff_lines
    template = environment.get_template("report.html.j2")
    return template.render(
        story=told,
        headline=_headline(told),
        timeline=_timeline(told.vertices),
        marks=_MARKS,
        phases=story.PHASES,
        unverified=UNVERIFIED,
    )


def _headline(told: story.Story) -> dict[str, str]:
    """kind (good, bad, neutral), title and text of the box at the top."""
    bad = told.failure
    if bad is not None:
        title = {"interrupted": "Interrupted", "unfinished": "Cut short"}.get(bad.status, "Failed")
        return {"kind": "bad", "title": f"{title}: {bad.title}", "text": bad.error.get("what", "")}
    if told.facts.get("pushed_reference"):
        pushed = str(told.facts["pushed_reference"])
        if told.proven:
            return {"kind": "good", "title": "Pushed and proven", "text": pushed}
        return {"kind": "neutral", "title": "Pushed, not proven", "text": pushed}
    if told.steps and all(s.status != "not run" for s in told.steps):
        return {"kind": "good", "title": "Done", "text": "every step passed its own verification"}
    return {"kind": "neutral", "title": "Not finished", "text": "no step has failed, not all have run"}


def _timeline(vertices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bars of the build on one axis of time: where each begins and how wide it is, in percent."""
    end = max((v["begin"] + v["seconds"] for v in vertices), default=0.0) or 1.0
    bars = []
    for v in vertices:
        share = max(0.6, round(100 * v["seconds"] / end, 2))
        bars.append({**v, "share": share, "left": min(100 - share, round(100 * v["begin"] / end, 2))})
    return bars


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _diff_lines(text: str) -> list[tuple[str, str]]:
    """(class, line) pairs: add, del, hunk or same."""
    kinds = {"+": "add", "-": "del", "@": "hunk"}
    return [(kinds.get(line[:1], "same"), line) for line in text.splitlines()]
