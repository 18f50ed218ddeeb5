"""Instruction mode: what each step would do, as diffs and commands. Nothing is changed."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.redaction import redact
from runbook_lib.scratch import scratch_folder
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import entry_of


def print_plans(settings: Settings, steps: tuple[str, ...], console: Console) -> bool:
    """Check and plan every step against the world as it is, and print both.

    A later step may need what an earlier one has yet to make; that is said, and is no failure. False
    when a step cannot be done although nothing before it is outstanding.
    """
    outstanding, possible = False, True
    # The journal is all that checking and planning write; it goes where nobody looks, and is removed.
    with scratch_folder() as folder:
        journal = Journal(folder)
        for number, name in enumerate(steps, 1):
            entry = entry_of(name)
            _say(console, f"\n[{number}/{len(steps)}] {entry.title}  ({name})", "bold")
            passed, empty = _one(settings, name, journal, console)
            if not passed and outstanding:
                _say(console, "  this may change once the steps before it have run")
            possible = possible and (passed or outstanding)
            outstanding = outstanding or not empty
    return possible


def _one(settings: Settings, name: str, journal: Journal, console: Console) -> tuple[bool, bool]:
    """Print the check and the plan of one step: (passed, nothing to do)."""
    passed, empty = True, False
    step = entry_of(name).load()(settings, journal, silent_sink)
    try:
        found = step.check()
        passed = found.passed
        _say(console, str(found))
    except RunbookError as e:
        passed = False
        _say(console, f"{type(e).__name__}: {e}", "red")
    try:
        plan = step.plan()
        empty = plan.is_empty
        _say(console, str(plan))
    except RunbookError as e:
        passed = False
        _say(console, f"no plan can be made yet: {e}", "yellow")
    return passed, empty


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(redact(text), style=style), soft_wrap=True, highlight=False)
