"""What would change: readable diffs, and the commands a person could type instead."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Action(StrEnum):
    """What applying one change does to its subject."""

    NONE = "unchanged"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    WRITE = "write"
    FETCH = "fetch"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `diff` is a unified diff or a short description; `commands` are shell lines.

    `commands` never hold a secret: they name the variable or file that does.
    """

    action: Action
    subject: str
    diff: str = ""
    commands: tuple[str, ...] = ()


class Plan:
    """An ordered list of changes. Empty means that applying writes nothing.

    `setup` holds shell lines that the commands need first, such as `export KUBECONFIG=…`.
    """

    def __init__(self, changes: Iterable[Change] = (), setup: Iterable[str] = ()) -> None:
        self.changes = tuple(changes)
        self.setup = tuple(setup)

    @property
    def is_empty(self) -> bool:
        """True when every change is `unchanged`."""
        return all(c.action is Action.NONE for c in self.changes)

    @property
    def commands(self) -> tuple[str, ...]:
        """Shell lines, in order, with which a person does the same by hand."""
        lines = tuple(line for c in self.changes if c.action is not Action.NONE for line in c.commands)
        return (*self.setup, *lines) if lines else ()

    @property
    def digest(self) -> str:
        """sha256 (hex) over the changes: two equal plans have equal digests."""
        return hashlib.sha256(json.dumps(self.as_records(), sort_keys=True).encode()).hexdigest()

    def as_records(self) -> list[dict[str, object]]:
        """Plain dictionaries for the journal and the report."""
        return [{**asdict(c), "action": c.action.value, "commands": list(c.commands)} for c in self.changes]

    def __str__(self) -> str:
        lines: list[str] = []
        for c in self.changes:
            lines.append(f"{c.action.value}: {c.subject}")
            lines += [f"    {line}" for line in c.diff.splitlines()]
        if self.commands:
            lines += ["", "by hand, the same is:", *(f"    {line}" for line in self.commands)]
        return "\n".join(lines) or "(no changes)"

    def _repr_markdown_(self) -> str:
        parts: list[str] = []
        for c in self.changes:
            parts.append(f"**{c.action.value}** `{c.subject}`\n")
            if c.diff:
                parts.append(f"```diff\n{c.diff.rstrip()}\n```\n")
        if self.commands:
            parts.append("By hand, the same is:\n\n```bash\n" + "\n".join(self.commands) + "\n```\n")
        return "\n".join(parts) or "*No changes.*"
