"""What the cells of a notebook call, so that cells hold no logic of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, TypeVar

from IPython.core.getipython import get_ipython
from IPython.display import display

from runbook_lib import settings_sources
from runbook_lib.credentials import forbid_core_files
from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.redaction import redact
from runbook_lib.registry.logins import learn_logins
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import entry_of
from runbook_lib.steps.contract import Step, run_dir_of

Shown = TypeVar("Shown")


def open_step(name: str, namespace: Mapping[str, Any]) -> Step:
    """The step `name`, over the parameters that stand in the notebook's `globals()`.

    Also makes errors in later cells short and redacted, and notes them in the run journal, so that a
    headless run reports the cause and the remedy instead of a traceback.

    Raises:
        SettingsError: a parameter is unknown or invalid; it is named, with the remedy.
    """
    forbid_core_files()
    _show_errors_short(name, None)
    settings = settings_sources.from_notebook(namespace)
    learn_logins(settings)
    journal = Journal(run_dir_of(settings))
    _show_errors_short(name, journal)
    entry = entry_of(name)
    step = entry.load()(settings, journal)
    print(_target_line(entry.title, settings, journal))
    return step


def show(value: Shown) -> Shown:
    """Display `value` and return it: findings stay visible when the `require` behind them raises."""
    display(value)  # type: ignore[no-untyped-call]
    return value


def _target_line(title: str, settings: Settings, journal: Journal) -> str:
    context = settings.context or "the current context"
    place = f"{settings.kind} {settings.namespace}/{settings.name} in {context}"
    registry = f", registry {settings.registry}" if settings.registry else ""
    return redact(f"{title}: {place}{registry}\njournal: {journal.path}")


def _show_errors_short(step: str, journal: Journal | None) -> None:
    shell = get_ipython()
    if shell is None:
        return

    def handle(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, **more: Any) -> None:  # noqa: ANN401
        # IPython drops a handler that raises, and from then on shows every error raw, secrets and all.
        if journal is not None:
            with contextlib.suppress(Exception):
                record_error(journal, step, error)
        lines = [f"{kind.__name__}: {error}"]
        if not isinstance(error, RunbookError):
            offset = more.get("tb_offset")
            with contextlib.suppress(Exception):
                lines = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=offset)
        # Only `str(evalue)` is taken from the second argument, so the redacted text may stand for it.
        shell._showtraceback(kind, redact(str(error)), [redact(line) for line in lines])

    shell.set_custom_exc((Exception,), handle)  # type: ignore[no-untyped-call]


def record_error(journal: Journal, step: str, error: BaseException) -> None:
    """Note in the journal that a cell of `step` failed: for a runbook error with where and remedy.

    Raises:
        JournalError: the journal cannot be written.
    """
    record = {"what": redact(str(error)) or "no message"}
    if isinstance(error, RunbookError):
        record = {k: getattr(error, k) for k in ("what", "where", "remedy", "notebook")}
    journal.write(step, "notebook", "error", type=type(error).__name__, **record)
