"""From a failed notebook to an error that names the step, the cause and the remedy."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook_lib.errors import RunError, StepFailedError
from runbook_lib.journal import Journal
from runbook_lib.redaction import redact
from runbook_lib.registry.logins import learn_logins
from runbook_lib.run.files import write_atomically
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import StepEntry

_DEAD_KERNEL = "DeadKernelError"
STOPPED_KERNEL = "StoppedKernel"  # how run/execution.py tells of one


def of_execution(
    entry: StepEntry, cause: tuple[str, str], journal: Journal, since: float
) -> StepFailedError | None:
    """The typed error for a notebook that ended with `cause` (type, text); None where it ended well.

    The journal knows more than the notebook's output, so its newest error after `since` (Unix time) is
    taken where there is one.
    """
    kind, text = cause
    if not kind:
        return None
    if kind == _DEAD_KERNEL:
        return StepFailedError(
            "the kernel died in the middle of the step (killed, or out of memory)",
            where=entry.name,
            remedy="look at the machine's memory, then go on with --resume",
            notebook=entry.notebook,
        )
    if kind == STOPPED_KERNEL:
        return StepFailedError(
            f"the kernel was {text} in the middle of the step (SIGSTOP, or a debugger), and was ended",
            where=entry.name,
            remedy="find out who stops processes here, then go on with --resume",
            notebook=entry.notebook,
        )
    noted = _noted(journal, entry.name, since)
    if noted.get("type") == kind and noted.get("what"):
        place = f"{entry.name}: {noted['where']}" if noted.get("where") else entry.name
        return StepFailedError(
            f"{noted['what']} ({kind})",
            where=place,
            remedy=noted.get("remedy", ""),
            notebook=noted.get("notebook") or entry.notebook,
        )
    return StepFailedError(redact(f"{kind}: {text}"), where=entry.name, notebook=entry.notebook)


def record_of(error: StepFailedError) -> dict[str, str]:
    """The four parts of an error, for the journal."""
    return {"what": error.what, "where": error.where, "remedy": error.remedy, "notebook": error.notebook}


def scrub(output: Path, settings: Settings) -> bool:
    """Blank secrets that found their way into an executed notebook; True where there were any.

    The kernel redacts already. This is for what goes past it, such as a library's own traceback.

    Raises:
        RunError: the notebook cannot be read or written.
    """
    learn_logins(settings)
    try:
        text = output.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    except OSError as e:
        raise RunError(f"cannot read the executed notebook: {e.strerror}", where=str(output)) from e
    try:
        book = json.loads(text)
    except ValueError:  # cut short
        book = None
    if not isinstance(book, dict):
        return _replace(output, text, redact(text))
    # Only outputs: a secret that happens to be an ordinary word must not shred the file's own keys.
    before = json.dumps(book)
    for cell in book.get("cells", []):
        if "outputs" in cell:
            cell["outputs"] = _redacted(cell["outputs"])
    if json.dumps(book) == before:
        return False
    return _replace(output, text, json.dumps(book, indent=1, ensure_ascii=False) + "\n")


def _replace(output: Path, before: str, after: str) -> bool:
    if after != before:
        write_atomically(output, after)
    return after != before


def _redacted(value: Any) -> Any:  # noqa: ANN401
    """A copy of an output with every text redacted; its keys and types stay."""
    if isinstance(value, dict):
        kept = ("output_type", "name", "mimetype")
        return {k: v if k in kept else _redacted(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_redacted(v) for v in value]
    return redact(value) if isinstance(value, str) else value


def _noted(journal: Journal, step: str, since: float) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in journal.entries():
        if entry.step == step and entry.kind == "error" and _unix(entry.time) >= since - 1:
            found = {k: str(v) for k, v in entry.data.items()}
    return found


def _unix(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0
