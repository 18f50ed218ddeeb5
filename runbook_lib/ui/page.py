"""The guided page: target, registry and token, one button for everything, and a card for each step."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as w

from runbook_lib.errors import RunbookError, SettingsError
from runbook_lib.journal import Journal
from runbook_lib.settings import Settings, fields_of
from runbook_lib.settings_sources import default_of, load
from runbook_lib.steps.carry_out import finished_with
from runbook_lib.steps.catalog import DEFAULT_STEPS
from runbook_lib.steps.contract import run_dir_of
from runbook_lib.steps.story import FINISHED, tell
from runbook_lib.ui import children, markup, registry_box, sandbox_profile, target, texts
from runbook_lib.ui.actions import PAGE, Actions
from runbook_lib.ui.buttons import button, fold
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.fields import form
from runbook_lib.ui.outcome import EXPORT, Outcome, exported
from runbook_lib.ui.registry_box import RegistryBox
from runbook_lib.ui.step_card import Presses, StepCard
from runbook_lib.ui.style import style
from runbook_lib.ui.target import TargetChooser
from runbook_lib.ui.texts import t
from runbook_lib.ui.work import Worker

_page: Page | None = None


def the_page(language: str, sandbox: str) -> w.Widget:
    """The page of this kernel. A page at work is never replaced: whoever comes back finds it at work."""
    global _page  # noqa: PLW0603
    chosen = texts.use(language or load().language)
    if _page is None or (_page.language != chosen and not _page.worker.busy):
        _page = Page(chosen, sandbox or children.default_instance())
    return _page.widget


class Page:
    """Puts the parts together and keeps them up to date while something is at work."""

    def __init__(self, language: str, sandbox: str) -> None:
        self.language, self._sandbox = language, sandbox
        self._drawing = threading.Lock()
        given = load()
        self._profile = self._recalled(given)
        self.worker = Worker(self.refresh, self._failed)
        self._actions = Actions(self._ready, self.worker, self._after)
        self._registry = RegistryBox(self.choices)
        self._target = TargetChooser(self.choices, self._profile, self._start_sandbox, self._turned)
        presses = Presses(self._actions.verb, self._actions.whole, self.worker.cancel)
        self.cards = {name: StepCard(name, self.choices, presses, own_fields(name)) for name in DEFAULT_STEPS}
        self._all = button(t("Run all steps"), self._run_all, style="primary")
        self._cancel = button(t("Cancel"), self.worker.cancel)
        self._stepper, self._message = w.HTML(), w.HTML().add_class("bkr-message")
        self._outcome = Outcome(self._export)
        self.widget = self._assembled()
        self._restore(Journal(run_dir_of(self.choices.settings())))
        self.refresh()

    # -- beginnings -----------------------------------------------------------------------------
    def _recalled(self, given: Settings) -> str:
        """Take the choices of the journal's last page, then what the environment says; the profile."""
        entries = Journal(run_dir_of(given)).entries()
        last = next((e for e in reversed(list(entries)) if (e.step, e.kind) == (PAGE, "parameters")), None)
        self.choices = Choices()
        stored = last.data if last else {}
        try:
            load(stored.get("values") or {}, environ={})
            self.choices.update(stored.get("values") or {})
        except SettingsError:
            stored = {}  # written by another version: the page begins anew
        explicit = given.model_dump(mode="json", exclude_unset=True)
        self.choices.update(explicit)
        named = str(stored.get("profile", ""))
        first = "other" if explicit.get("context") or explicit.get("kubeconfig") else "sandbox"
        return named if named in target.PROFILES else first

    def _restore(self, journal: Journal) -> None:
        """Show what the journal tells: what was done, what failed, and what was cut short."""
        stories, facts = tell(journal.entries())
        for name, card in self.cards.items():
            if name in stories:
                card.remember(stories[name])
        cut = [c for c in self.cards.values() if c.status == "unfinished"]
        if cut:
            cut[0].open(True)
            self._say(
                t("A run was cut short here. Run all steps goes on: what is done is verified, not redone.")
            )
        if all(c.status in FINISHED for c in self.cards.values()):
            self._outcome.show(facts, stories["test_push"].commands)
            report = journal.run_dir / children.REPORT
            if report.is_file():
                self._outcome.show_report(report)

    def _assembled(self) -> w.Widget:
        promise = markup.esc(t("From a bare cluster to a proven push"))
        how = markup.esc(t("Choose where, give a token, press one button. Each step can be looked into."))
        title = w.HTML(f'<div class="bkr-hero"><h1 tabindex="-1">{promise}</h1><p>{how}</p></div>')
        where = w.VBox([_heading(t("Where to build")), self._target.widget]).add_class("bkr-section")
        more = fold(t("More about the registry"), lambda: form(self.choices, registry_box.MORE))
        push = w.VBox([_heading(t("Where to push")), self._registry.widget, more]).add_class("bkr-section")
        row = w.HBox([self._all, self._cancel, self._message]).add_class("bkr-buttons").add_class("bkr-go")
        cards = [c.widget for c in self.cards.values()]
        parts = [style(), title, where, push, row, self._stepper, self._outcome.widget, *cards]
        return w.VBox(parts).add_class("bkr-page").add_class("bkr-guide")

    # -- presses --------------------------------------------------------------------------------
    def _start_sandbox(self) -> None:
        self.worker.start(lambda: self._bring_sandbox(anew=True))

    def _run_all(self) -> None:
        self.worker.start(self._everything)

    def _everything(self) -> None:
        self._outcome.hide()
        settings = self._ready()
        self._actions.note_choices(settings, self._target.profile.value)
        journal = Journal(run_dir_of(settings))
        finished = finished_with(journal.entries(), settings)
        if self._registry.renewed:
            finished.discard("configure_auth")
        if finished >= set(DEFAULT_STEPS):
            finished = set()  # all of it was done: then the press means "again", not "go on"
        finished.discard("test_push")  # what is built may have been edited since: only a build tells
        self._say("")
        for name, card in self.cards.items():
            if not self._actions.step(card, settings, finished_before=name in finished):
                return
            card.open(False)
        self._finish(journal)

    def _finish(self, journal: Journal) -> None:
        stories, facts = tell(journal.entries())
        self._outcome.show(facts, stories["test_push"].commands)
        self._outcome.show_report(children.write_report(journal.run_dir))

    def _after(self, step: str) -> None:
        if step == "configure_auth":
            self._registry.renewed = False

    def _ready(self) -> Settings:
        """The settings for what was pressed. In the sandbox's profile it is up first, and they lead there."""
        if self._target.profile.value != "sandbox":
            return self.choices.settings()
        own = self._bring_sandbox()
        return sandbox_profile.require(self.choices.settings(), own)

    def _bring_sandbox(self, *, anew: bool = False) -> dict[str, Any]:
        """Bring the sandbox up (what runs is left alone) and fill in the parameters that lead to it."""
        self._say(t("Starting the sandbox …"))
        try:
            children.sandbox_up(self._sandbox, self._say, self.worker.on_cancel)
            own = children.sandbox_values(self._sandbox)
        finally:
            self._say("")
        if self._target.profile.value != "sandbox":
            raise sandbox_profile.turned_away()
        sandbox_profile.fill(self.choices, own, anew=anew)
        self._target.sandbox_state.value = f"{markup.chip('ok')} {markup.esc(t('The sandbox is running.'))}"
        return own

    def _export(self) -> None:
        settings = self.choices.settings()
        path = run_dir_of(settings) / EXPORT
        path.write_text(exported(settings), encoding="utf-8")
        self._outcome.show_export(path)

    def _turned(self) -> None:
        """Another profile: what leads to the sandbox, and what leads elsewhere, must not meet; nor tokens."""
        before, self._profile = self._profile, self._target.profile.value
        if before != self._profile and "sandbox" in (before, self._profile):
            self._registry.forget()
            self.choices.update({name: default_of(name) for name in sandbox_profile.FILLED})

    # -- display --------------------------------------------------------------------------------
    def _say(self, text: str) -> None:
        self._message.value = f'<span role="status">{markup.esc(text)}</span>'

    def _failed(self, error: RunbookError) -> None:
        record = {k: str(getattr(error, k)) for k in ("what", "where", "remedy")}
        self._message.value = markup.failure(record)

    def refresh(self) -> None:
        """Draw what has changed. Called from the heartbeat and at the end of work."""
        with self._drawing:
            busy = self.worker.busy
            for card in self.cards.values():
                card.refresh(busy=busy)
            self._all.disabled = self._target.start.disabled = self._target.profile.disabled = busy
            self._cancel.disabled = not busy or self.worker.cancelling
            strip = "".join(_stage(c) for c in self.cards.values())
            label = markup.esc(t("Steps"))
            text = f'<ol class="bkr-stepper" aria-label="{label}">{strip}</ol>'
            if text != self._stepper.value:
                self._stepper.value = text


def own_fields(step: str) -> list[str]:
    """The parameters in the form of this step's card: those that stand nowhere before it on the page."""
    above = {"context", "namespace", "language", *target.MORE, *registry_box.FIELDS, *registry_box.MORE}
    for earlier in DEFAULT_STEPS[: DEFAULT_STEPS.index(step)]:
        above |= set(fields_of(earlier))
    return [name for name in fields_of(step) if name not in above]


def _heading(text: str) -> w.Widget:
    return w.HTML(f"<h2>{markup.esc(text)}</h2>")


def _stage(card: StepCard) -> str:
    current = ' aria-current="step"' if card.status == "running" else ""
    return f"<li{current}><b>{markup.esc(t(card.entry.title))}</b>{markup.chip(card.status)}</li>"
