"""The command `clean-up`: the builder of a run is taken away, and said whose it is before that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from runbook_lib.journal import Journal
from runbook_lib.redaction import redact
from runbook_lib.run.folder import RunFolder
from runbook_lib.run.planning import print_plans
from runbook_lib.scratch import scratch_folder
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import validate
from runbook_lib.steps.catalog import entry_of


def clean_up(folder: RunFolder | None, given: Settings, *, plan: bool) -> bool:
    """Remove what the run in `folder` made, or only plan it; False where that is impossible.

    Raises:
        RunbookError: a check, the removal or its verification fails.
    """
    settings = settings_for(folder, given)
    for line in _target(folder, settings):
        print(redact(line), flush=True)
    if plan:
        return print_plans(settings, ("clean_up",), Console())
    with _journal(folder) as journal:
        own = settings.model_copy(update={"run_dir": str(journal.run_dir)})
        step = entry_of("clean_up").load()(own, journal)
        print(redact(str(step.check().require("clean-up"))), flush=True)
        print(redact(str(step.plan())), flush=True)
        step.apply().require("clean-up")
        print(redact(str(step.verify().require("clean-up"))))
    return True


def settings_for(folder: RunFolder | None, given: Settings) -> Settings:
    """The parameters of the run, and over them those that are given.

    A run without the parameter `context` had the one that was current then, not the one that is so now.

    Raises:
        ResumeError: run.json cannot be read. SettingsError: the parameters do not go together.
    """
    if folder is None:
        return given
    values = given.model_dump(mode="json", exclude_unset=True)
    stored = folder.manifest().get("parameters", {})
    context = folder.journal.look_up("builder_context")
    if stored and context and not stored.get("context") and "kubeconfig" not in values:
        stored = {**stored, "context": context}
    return validate({**stored, **values})


def _target(folder: RunFolder | None, settings: Settings) -> Iterator[str]:
    if folder is not None:
        kept = "" if folder.manifest() else " (it keeps no parameters: only those given count)"
        yield f"run: {folder.path}{kept}"
    file = f" of {settings.kubeconfig}" if settings.kubeconfig else ""
    context = f"context {settings.context}" if settings.context else "the current context"
    yield f"target: {context}{file}, namespace {settings.namespace}, {settings.kind} {settings.name}"


@contextmanager
def _journal(folder: RunFolder | None) -> Iterator[Journal]:
    """The run's journal, which knows what was made, while nobody else is at that run; else one for now."""
    if folder is None:
        with scratch_folder() as scratch:
            yield Journal(scratch / "run")  # journals beside it are looked into as well: there are none
        return
    lock = folder.hold()
    try:
        yield folder.journal
    finally:
        lock.release()
