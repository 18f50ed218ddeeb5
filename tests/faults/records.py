"""The results file of the fault tests: one JSON object a line, added to by every round."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import platformdirs
from harness import GOOD, LOOKS, with_cause
from table import cases

RECORDS = Path(__file__).parents[2] / "docs" / "faults-records.jsonl.gz"  # of every machine so far
RESULTS = platformdirs.user_state_path("buildkit-runbook") / "faults.jsonl"
FAULTS_BY_CASE = {(step, phase, fault.name): fault for step, phase, fault in cases()}
Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The records of a results file, packed or not."""
    if not path.exists():
        return []
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [{"kind": "case", **json.loads(line)} for line in text.splitlines() if line.strip()]


def added_up(*sources: list[Record]) -> list[Record]:
    """Each record once, oldest first. What a good case said is left out: there are thousands."""
    lines = {
        json.dumps({k: v for k, v in r.items() if k != "said" or not r.get("good")}, sort_keys=True)
        for records in sources
        for r in records
    }
    return sorted((json.loads(line) for line in sorted(lines)), key=lambda r: str(r.get("time", "")))


def good_rounds(records: list[Record]) -> Counter[tuple[str, str, str]]:
    """How often each case was judged good by every look that the harness has today."""
    ours = (
        r for r in records if r["kind"] == "case" and r.get("looks") == LOOKS and key(r) in FAULTS_BY_CASE
    )
    return Counter(key(r) for r in map(judged_anew, ours) if r["good"])


def judged_anew(case: Record) -> Record:
    """The record of a case of the table by today's rule of errors without a cause, whenever it was made."""
    outcome = with_cause(case["outcome"], FAULTS_BY_CASE[key(case)], struck=case["struck"])
    return {**case, "outcome": outcome, "good": case["good"] and outcome in GOOD}


def key(case: Record) -> tuple[str, str, str]:
    """The case of a record: step, phase and the fault's name."""
    return case["step"], case["phase"], case["fault"]
