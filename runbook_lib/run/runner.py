"""The headless run: the notebooks in order, watched, resumable, always reported."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from filelock import FileLock
from rich.console import Console

from runbook_lib.errors import RunbookError, StepFailedError
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.redaction import redact
from runbook_lib.run import cells, failure, report
from runbook_lib.run.folder import RunFolder, runs_dir
from runbook_lib.run.lean_imports import IRI_PARSER, without_module
from runbook_lib.run.processes import end_processes, sweep_orphans
from runbook_lib.run.watch import Tail, Watcher
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import StepEntry, entry_of
from runbook_lib.steps.story import finished_steps

_TICK = 0.1  # seconds between two looks at the journal
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class StepOutcome:
    """How a step ended: status done, verified again, failed or interrupted; wall-clock seconds."""

    step: str
    status: str
    seconds: float
    error: StepFailedError | None = None


@dataclass(slots=True)
class RunOutcome:
    """How a run ended. `report` is the path of the HTML report."""

    folder: RunFolder
    steps: list[StepOutcome] = field(default_factory=list)
    interrupted: bool = False

    @property
    def error(self) -> StepFailedError | None:
        """The failure that ended the run, if one did."""
        return next((s.error for s in self.steps if s.error), None)


class Run:
    """One headless run over one folder."""

    def __init__(self, settings: Settings, folder: RunFolder, console: Console) -> None:
        self.folder = folder
        self.settings = settings.model_copy(update={"run_dir": str(folder.path)})
        self.journal: Journal = folder.journal
        self.outcome = RunOutcome(folder)
        self._watcher = Watcher(console)
        self._stop = threading.Event()
        self._interruptible = False

    def execute(self, steps: tuple[str, ...], *, resumed: bool = False) -> RunOutcome:
        """Run `steps` in order until one fails; the report is written however it ends.

        A step that had finished in this folder is verified against the world; only where that passes is
        it left out.

        Raises:
            RunbookError: the run as such is impossible (a lock, a missing notebook), or its report cannot
                be written. A failed step is no exception here: it stands in the outcome.
        """
        lock = self.folder.hold()
        try:
            for orphan in sweep_orphans():
                self._watcher.note(f"ended what a dead run had left behind: {orphan}")
            done = finished_steps(self.journal.entries()) if resumed else set()
            with self._signals():
                self._all(steps, done)
        except KeyboardInterrupt:
            self.outcome.interrupted = True
        finally:
            self._finish(lock)
        return self.outcome

    def _finish(self, lock: FileLock) -> None:
        """Leave nothing behind but the report. Each part is done whatever becomes of those before it."""
        failed = sys.exception() is not None
        with contextlib.ExitStack() as parts:  # the last one is done first
            parts.callback(lock.release)
            parts.callback(self._report, failed)
            parts.callback(end_processes, self.folder.path)
            parts.callback(self._watcher.idle)

    def _report(self, failed: bool) -> None:
        try:
            report.write(self.folder)
        except RunbookError as e:
            if not failed:
                raise
            self._watcher.note(f"there is no report: {redact(str(e))}")  # the first error is told

    def _all(self, steps: tuple[str, ...], done: set[str]) -> None:
        for number, name in enumerate(steps, 1):
            entry = entry_of(name)
            self._watcher.step(number, len(steps), name, entry.title)
            begun = time.monotonic()
            self.journal.write(name, "run", "started")
            outcome = self._verified(entry) if name in done else None
            outcome = outcome or self._notebook(entry)
            outcome.seconds = round(time.monotonic() - begun, 3)
            self.outcome.steps.append(outcome)
            error = failure.record_of(outcome.error) if outcome.error else {}
            self.journal.write(
                name, "run", "finished", status=outcome.status, seconds=outcome.seconds, error=error
            )
            self._watcher.step_done(outcome.status, outcome.seconds)
            if outcome.status == "interrupted":
                self.outcome.interrupted = True
            if outcome.status in ("failed", "interrupted"):
                return

    def _verified(self, entry: StepEntry) -> StepOutcome | None:
        """The outcome "verified again" if the step's work still stands, else None: run it again."""
        tail = Tail(self.journal.path, from_end=True)
        self._interruptible = True
        try:
            passed = entry.load()(self.settings, self.journal, silent_sink).verify().passed
        except RunbookError:
            passed = False
        finally:
            self._interruptible = False
        self._show(tail)
        if not passed:
            self._watcher.note("  what this step had done no longer stands: it runs again")
        return StepOutcome(entry.name, "verified again", 0.0) if passed else None

    def _notebook(self, entry: StepEntry) -> StepOutcome:
        with without_module(IRI_PARSER):
            from runbook_lib.run.execution import NotebookExecution  # papermill takes a second to import

        values = cells.parameters_for(entry.name, self.settings.model_dump(mode="json"))
        tail = Tail(self.journal.path, from_end=True)
        execution = NotebookExecution(cells.path_of(entry), self.folder.path, values)
        since = time.time()
        execution.start()
        while not execution.wait(_TICK):
            self._show(tail)
            if self._stop.is_set() or execution.is_frozen():
                execution.stop()
        self._show(tail)
        failure.scrub(execution.output, self.settings)
        if self._stop.is_set():
            return StepOutcome(entry.name, "interrupted", 0.0)
        error = failure.of_execution(entry, execution.cause(), self.journal, since)
        return StepOutcome(entry.name, "failed" if error else "done", 0.0, error)

    def _show(self, tail: Tail) -> None:
        for entry in tail.fresh():
            self._watcher.show(entry)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGINT, SIGTERM and SIGHUP into an orderly end (only the main thread may do that)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            self._stop.set()
            if self._interruptible:
                raise KeyboardInterrupt

        before: dict[int, Any] = {n: signal.signal(n, on_signal) for n in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(settings: Settings, steps: tuple[str, ...], console: Console) -> RunOutcome:
    """Start a new run of `steps`. See `Run.execute`."""
    folder = RunFolder.create(runs_dir(settings), settings, steps)
    return Run(settings, folder, console).execute(steps)
