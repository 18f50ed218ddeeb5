"""One row of the table of bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.errors import RunbookError


@dataclass(frozen=True)
class Row:
    """`call` gets an empty folder and must raise exactly `error`, whose text matches `says`."""

    name: str
    call: Callable[[Path], object]
    error: type[RunbookError]
    says: str | None = None
