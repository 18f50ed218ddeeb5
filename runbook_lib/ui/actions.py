"""What the buttons start: verbs and whole steps, in the worker's thread, over the settings as chosen."""

from __future__ import annotations

import time
from collections.abc import Callable

from runbook_lib.errors import RunbookError
from runbook_lib.findings import Findings
from runbook_lib.journal import Journal
from runbook_lib.settings import Settings
from runbook_lib.steps.carry_out import carry_out
from runbook_lib.steps.contract import Step, run_dir_of
from runbook_lib.ui.choices import public
from runbook_lib.ui.step_card import StepCard
from runbook_lib.ui.work import Worker

PAGE = "page"  # the journal's word for what was chosen on the page; no step has this name


class Actions:
    """Turns a press into work on one card at a time.

    `ready` gives the settings to work with, in the worker's thread. `after` is told when a step ended well.
    """

    def __init__(self, ready: Callable[[], Settings], worker: Worker, after: Callable[[str], None]) -> None:
        self._ready, self._worker, self._after = ready, worker, after

    def verb(self, card: StepCard, verb: str) -> None:
        """Check, plan, apply or verify, by itself."""
        self._press(card, lambda settings: self._verb(card, verb, settings))

    def whole(self, card: StepCard) -> None:
        """All four verbs of one step, whatever was done before."""
        self._press(card, lambda settings: self.step(card, settings, finished_before=False))

    def step(self, card: StepCard, settings: Settings, *, finished_before: bool) -> bool:
        """Carry out one step in the thread that calls; False when it failed, which the card then shows."""
        with _Run(card) as run:
            step = self._made(card, settings)
            run.status = carry_out(step, card.watch, finished_before=finished_before)
        if run.passed:
            self._after(card.entry.name)
        return run.passed

    def note_choices(self, settings: Settings, profile: str) -> None:
        """Write what was chosen to the journal, for a page in a later kernel. References only."""
        Journal(run_dir_of(settings)).write(PAGE, "", "parameters", profile=profile, values=public(settings))

    def _press(self, card: StepCard, work: Callable[[Settings], object]) -> None:
        def begin() -> None:
            try:
                settings = self._ready()
            except RunbookError as e:
                card.fail(e)
                return
            work(settings)

        self._worker.start(begin)

    def _verb(self, card: StepCard, verb: str, settings: Settings) -> None:
        with _Run(card) as run:
            step = self._made(card, settings)
            card.watch(verb, None)
            result = getattr(step, verb)()
            card.watch(verb, result)
            bad = isinstance(result, Findings) and not result.passed
            run.status = "failed" if bad else "done" if verb == "verify" else run.before

    def _made(self, card: StepCard, settings: Settings) -> Step:
        step = card.entry.load()(settings, Journal(run_dir_of(settings)), card.live.take)
        self._worker.on_cancel(step.cancelled.set)
        return step


class _Run:
    """From the beginning to the end of one action on a card: an error is shown there and goes no further."""

    def __init__(self, card: StepCard) -> None:
        self._card = card
        self.before = card.status
        self.status = card.status
        self.passed = False

    def __enter__(self) -> _Run:
        self._began = time.monotonic()
        self._card.begin()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self._card.end(self.status, time.monotonic() - self._began)
        if isinstance(error, RunbookError):
            self._card.fail(error)
            return True
        if error is not None:
            self._card.status = "failed"
        self.passed = error is None
        return False
