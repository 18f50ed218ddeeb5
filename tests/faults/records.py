"""The results file of the fault tests: one JSON object a line, added to by every round."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import platformdirs

RESULTS = platformdirs.user_state_path("buildkit-runbook") / "faults.jsonl"
Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The records of a results file, packed or not."""
    if not path.exists():
        return []
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [{"kind": "case", **json.loads(line)} for line in text.splitlines() if line.strip()]


def key(case: Record) -> tuple[str, str, str]:
    """The case of a record: step, phase and the fault's name."""
    return case["step"], case["phase"], case["fault"]
