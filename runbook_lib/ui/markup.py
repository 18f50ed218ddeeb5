"""HTML pieces of the page. Every word that comes from outside is redacted and escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from runbook_lib.redaction import redact
from runbook_lib.ui.said import said
from runbook_lib.ui.texts import t

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗", "blocked": "⏸", "skip": "–", "run": "●", "none": "○"}
_CHIPS = {  # status of a step or finding -> look of its chip
    "done": "ok", "verified again": "ok", "failed": "fail", "interrupted": "warn", "unfinished": "warn",
    "running": "run", "not run": "none",
}  # fmt: skip
_DIFF = {"+": "add", "-": "del", "@": "hunk"}


def esc(text: object) -> str:
    """`text` as it may stand in HTML, also inside an attribute; learnt secrets are blanked."""
    return html.escape(redact(str(text)), quote=True)


def chip(status: str) -> str:
    """A small label for a status. The mark says it as well as the colour does."""
    look = _CHIPS.get(status, status if status in _MARKS else "none")
    return (
        f'<span class="bkr-chip bkr-{look}"><i aria-hidden="true">{_MARKS[look]}</i>{esc(t(status))}</span>'
    )


def findings(items: Iterable[Mapping[str, str]]) -> str:
    """A list of findings, each with what was seen and, where it matters, the remedy."""
    rows = []
    for f in items:
        more = f'<div class="bkr-seen">{esc(f["evidence"])}</div>' if f.get("evidence") else ""
        if f.get("remedy") and f.get("status") not in ("ok", "skip"):
            more += f'<div class="bkr-remedy"><b>{esc(t("Remedy"))}:</b> {esc(said(f["remedy"]))}</div>'
        text = f"<b>{esc(said(f.get('subject', '')))}</b> {esc(said(f.get('message', '')))}"
        rows.append(f'<li>{chip(str(f.get("status")))}<div class="bkr-found">{text}{more}</div></li>')
    return f'<ul class="bkr-findings">{"".join(rows)}</ul>'


def changes(items: Iterable[Mapping[str, Any]]) -> str:
    """What a plan would change, as coloured diffs."""
    parts = []
    for c in items:
        title = f"<b>{esc(t(str(c.get('action'))))}</b> <code>{esc(said(c.get('subject', '')))}</code>"
        parts.append(f'<div class="bkr-change">{title}{diff(str(c.get("diff", "")))}</div>')
    return "".join(parts) or f"<p>{esc(t('Nothing would change.'))}</p>"


def diff(text: str) -> str:
    """A unified diff, one block a line; it scrolls inside itself and can be reached by keyboard."""
    if not text.strip():
        return ""
    lines = "".join(
        f'<span class="bkr-{_DIFF.get(line[:1], "same")}">{esc(_line(line)) or "&nbsp;"}</span>'
        for line in text.splitlines()
    )
    return f'<pre class="bkr-diff" tabindex="0" role="group" aria-label="{esc(t("changes"))}">{lines}</pre>'


def _line(text: str) -> str:
    """A line of a diff as it is; a sentence among them (`!`: a warning) in the reader's language."""
    if text[:1] == "!":
        return "!" + said(text[1:])
    return text if text[:1] in ("+", "-", "@", " ", "") else said(text)


def failure(error: Mapping[str, str], evidence: str = "") -> str:
    """What went wrong, where, what was seen, and what to do now."""
    what, where, remedy = (said(error.get(k, "")) for k in ("what", "where", "remedy"))
    rows = [(t("What happened"), what), (t("Where"), where)]
    rows += [(t("What was seen"), evidence), (t("Remedy"), remedy)]
    body = "".join(f"<dt>{esc(k)}</dt><dd>{esc(v)}</dd>" for k, v in rows if v)
    return f'<div class="bkr-failure" role="alert"><dl>{body}</dl></div>'


def seconds(value: float) -> str:
    """A duration for people: 0.4 s, 12 s, 3 min 20 s."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
