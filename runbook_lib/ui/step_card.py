"""One step on the page: purpose, form, four verbs, what they found, live progress, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import ipywidgets as w

from runbook_lib.errors import RunbookError, StepCancelledError
from runbook_lib.findings import Findings
from runbook_lib.plan import Plan
from runbook_lib.redaction import redact
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import CATALOG, StepEntry
from runbook_lib.steps.story import StepStory
from runbook_lib.ui import markup
from runbook_lib.ui.buttons import button, fold, link_to, switch_in, with_switch
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.fields import form
from runbook_lib.ui.live import Live
from runbook_lib.ui.purposes import purpose_of
from runbook_lib.ui.secret import CommandLines
from runbook_lib.ui.texts import t

VERBS = ("check", "plan", "apply", "verify")
_SPOKEN = {"check": "Check", "plan": "Plan", "apply": "Apply", "verify": "Verify"}


@dataclass(frozen=True, slots=True)
class Presses:
    """What the card's buttons do: one verb, the whole step, cancel, set a parameter and run again."""

    verb: Callable[[StepCard, str], None]
    whole: Callable[[StepCard], None]
    cancel: Callable[[], None]


class StepCard:
    """The widget of one step. It is told what happens and shows it; it decides nothing."""

    def __init__(self, name: str, choices: Choices, presses: Presses, fields: Iterable[str]) -> None:
        self.entry: StepEntry = CATALOG[name]
        self.live = Live()
        self.status, self.phase, self.seconds = "not run", "", 0.0
        self._choices, self._presses = choices, presses
        self._settings: w.ToggleButton | None = None
        self._settings_open = False
        self._began = 0.0
        self._chosen = dict(choices.values)  # what the results on the card were found with
        self._shown: tuple[object, ...] = ()
        self._title = w.HTML().add_class("bkr-card-title")
        self._results = w.HTML().add_class("bkr-results")
        self._commands = CommandLines(
            title=t("By hand, the same is"),
            copy_label=t("Copy"),
            copied_label=t("Copied"),
            all_label=t("Copy all"),
        )
        self._bars = w.HTML()
        self._failure = w.VBox([]).add_class("bkr-failures")
        self._log = w.HTML(self.live.log())
        self._buttons = {verb: button(t(_SPOKEN[verb]), self._press(verb)) for verb in VERBS}
        self._whole = button(t("Run this step"), lambda: presses.whole(self), style="primary")
        self._cancel = button(t("Cancel"), presses.cancel)
        self._body = w.VBox(self._parts(list(fields))).add_class("bkr-card-body")
        self._toggle = switch_in(self._body, t(self.entry.title))
        head = w.HBox([self._toggle, self._title]).add_class("bkr-card-head")
        self.widget = w.VBox([head, self._body]).add_class("bkr-card")
        self._found: dict[str, str] = {}
        self.refresh(busy=False)

    # -- what it is told ------------------------------------------------------------------------
    def remember(self, story: StepStory) -> None:
        """Show what the journal tells of this step, from this kernel or from one before."""
        self.status, self.seconds = story.status, story.seconds
        for phase, items in story.findings.items():
            self._found[phase] = markup.findings(items)
        if story.changes:
            self._found["plan"] = markup.changes(story.changes)
            self._commands.lines = [redact(line) for line in story.commands]
        if story.error:
            self._fail(story.error)
        self._show_results()
        self.refresh(busy=False)

    def begin(self) -> None:
        """An action of this step begins: what the last one left is cleared away."""
        self.live.clear()
        self._failure.children = ()
        self._forget_what_was_found_otherwise()
        self.status, self.phase, self._began = "running", "", time.monotonic()
        if self._settings is not None:  # the form makes room for what happens now
            self._settings_open, self._settings.value = self._settings.value, False
        self.open(True)

    def _forget_what_was_found_otherwise(self) -> None:
        """Results of other parameters would mislead: a plan stands beside what it plans, or not at all."""
        if self._chosen != self._choices.values:
            self._chosen = dict(self._choices.values)
            self._found.clear()
            self._commands.lines = []
            self._show_results()

    def watch(self, phase: str, result: Findings | Plan | None) -> None:
        """A phase begins (None) or has ended with this result."""
        self.phase = phase if result is None else ""
        if isinstance(result, Findings):
            self._found[phase] = markup.findings(result.as_records())
        elif isinstance(result, Plan):
            self._found[phase] = markup.changes(result.as_records())
            self._commands.lines = [redact(line) for line in result.commands]
        else:
            self._found.pop(phase, None)
            self.live.note(f"— {t(_SPOKEN[phase])}")
        self._show_results(phase)

    def end(self, status: str, seconds: float) -> None:
        """The action has ended."""
        self.status, self.phase, self.seconds = status, "", seconds
        self.live.settle()
        if self._settings is not None:
            self._settings.value = self._settings_open

    def fail(self, error: RunbookError) -> None:
        """Show cause, evidence and remedy, and the ways on."""
        self.status = "interrupted" if isinstance(error, StepCancelledError) else "failed"
        self.phase = ""
        record = {k: str(getattr(error, k)) for k in ("what", "where", "remedy", "notebook")}
        self._fail(record)
        self.open(True)

    def open(self, wanted: bool) -> None:
        """Unfold or fold the card."""
        self._toggle.value = wanted

    def refresh(self, *, busy: bool) -> None:
        """Draw what has changed; called from the heartbeat."""
        seconds = time.monotonic() - self._began if self.status == "running" else self.seconds
        shown = (busy, self.status, self.phase, round(seconds, 1))
        if shown != self._shown:
            self._shown = shown
            self._title.value = self._headline(seconds)
            for one in (*self._buttons.values(), self._whole):
                one.disabled = busy
            self._cancel.disabled = not (busy and self.status == "running")
        if self.live.changed:
            self.live.changed = False
            self._bars.value, self._log.value = self.live.bars(), self.live.log()

    # -- how it looks ---------------------------------------------------------------------------
    def _parts(self, fields: list[str]) -> list[w.Widget]:
        parts: list[w.Widget] = [w.HTML(purpose_of(self.entry.name)).add_class("bkr-purpose")]
        if fields:
            body = w.VBox()
            self._settings = switch_in(
                body, t("Settings of this step"), fill=lambda: form(self._choices, fields)
            )
            parts.append(with_switch(self._settings, body))
        row = w.HBox([*self._buttons.values(), self._whole, self._cancel]).add_class("bkr-buttons")
        return [
            *parts, row, self._failure, self._bars, self._results, self._commands,
            fold(t("Log"), lambda: self._log),
        ]  # fmt: skip

    def _press(self, verb: str) -> Callable[[], None]:
        return lambda: self._presses.verb(self, verb)

    def _headline(self, seconds: float) -> str:
        phase = t(_SPOKEN[self.phase]) + " …" if self.phase else ""
        time = markup.seconds(seconds) if seconds else ""
        return f'{markup.chip(self.status)}<span class="bkr-soft">{markup.esc(phase)} {time}</span>'

    def _show_results(self, open_phase: str = "") -> None:
        shown = [p for p in VERBS if p in self._found]
        newest = open_phase if open_phase in shown else (shown[-1] if shown else "")
        self._results.value = "".join(
            f"<details{' open' if p == newest else ''}><summary>{markup.esc(t(_SPOKEN[p]))}</summary>"
            f"{self._found[p]}</details>"
            for p in shown
        )

    def _fail(self, record: dict[str, str]) -> None:
        ways: list[w.Widget] = []
        named = CATALOG.get(next((n for n, e in CATALOG.items() if e.notebook == record["notebook"]), ""))
        if named is not None and named.name != self.entry.name:
            ways.append(link_to(named.notebook, t("Open {notebook}", notebook=named.notebook)))
        mend = safe_remedy(record.get("remedy", ""))
        if mend:
            ways.append(button(t("Set {name} and run this step again", name=mend), lambda: self._mend(mend)))
        panel = w.HTML(markup.failure(record))
        self._failure.children = (panel, w.HBox(ways).add_class("bkr-buttons"))

    def _mend(self, name: str) -> None:
        self._choices.update({name: True})
        self._presses.whole(self)


def safe_remedy(remedy: str) -> str:
    """The yes/no parameter that a remedy tells the reader to set, or "". Others need thought, not a click."""
    words = remedy.replace(",", " ").replace(";", " ").split()
    follows_set = [b for a, b in pairwise(words) if a.lower() == "set"]
    return next((n for n in follows_set if _is_switch(n)), "")


def _is_switch(name: str) -> bool:
    info = Settings.model_fields.get(name)
    return info is not None and info.annotation is bool
