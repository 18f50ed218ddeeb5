"""A whole step in process, for the guided page: the four verbs in order, or a second look at its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from runbook_lib.errors import RunbookError, StepCancelledError
from runbook_lib.findings import Findings
from runbook_lib.journal import Entry
from runbook_lib.plan import Plan
from runbook_lib.settings import Settings, fields_of
from runbook_lib.steps.contract import Step
from runbook_lib.steps.story import finished_steps

Watch = Callable[[str, Findings | Plan | None], None]
"""Told (phase, None) when a phase begins and (phase, result) when it has ended."""


def carry_out(step: Step, watch: Watch, *, finished_before: bool = False) -> str:
    """Check, plan, apply and verify `step`; returns its status: done or verified again.

    With `finished_before` the world is asked first: where the work still stands, nothing is repeated.
    The journal gets the same `run` entries as from a headless run, so the report reads both alike. One
    that has grown long begins anew.

    Raises:
        RunbookError: a finding blocks, or a verb failed; StepCancelledError: the reader cancelled.
    """
    begun = time.monotonic()
    step.journal.trim()
    step.journal.write(step.name, "run", "started", parameters=_own(step.name, step.settings))
    try:
        status = "verified again" if finished_before and _stands(step, watch) else _work(step, watch)
    except StepCancelledError as e:
        _finish(step, "interrupted", begun, e)
        raise
    except RunbookError as e:
        _finish(step, "failed", begun, e)
        raise
    _finish(step, status, begun)
    return status


def finished_with(entries: Iterable[Entry], settings: Settings) -> set[str]:
    """The steps whose newest run in this journal finished, and had the parameters of `settings`."""
    entries = list(entries)
    begun = {e.step: e.data.get("parameters") for e in entries if e.phase == "run" and e.kind == "started"}
    return {name for name in finished_steps(entries) if begun.get(name) == _own(name, settings)}


def _own(step: str, settings: Settings) -> dict[str, Any]:
    values = settings.model_dump(mode="json")
    return {name: values[name] for name in fields_of(step)}


def _work(step: Step, watch: Watch) -> str:
    verbs: tuple[tuple[str, Callable[[], Findings | Plan]], ...] = (
        ("check", step.check),
        ("plan", step.plan),
        ("apply", step.apply),
        ("verify", step.verify),
    )
    for phase, verb in verbs:
        watch(phase, None)
        result = verb()
        watch(phase, result)
        if isinstance(result, Findings):
            result.require(f"{phase} of {step.title!r}")
    return "done"


def _stands(step: Step, watch: Watch) -> bool:
    watch("verify", None)
    try:
        found = step.verify()
    except StepCancelledError:
        raise
    except RunbookError:
        return False
    watch("verify", found)
    return found.passed


def _finish(step: Step, status: str, begun: float, error: RunbookError | None = None) -> None:
    record = {k: getattr(error, k) for k in ("what", "where", "remedy", "notebook")} if error else {}
    seconds = round(time.monotonic() - begun, 3)
    step.journal.write(step.name, "run", "finished", status=status, seconds=seconds, error=record)
