"""A short turn of the config file's harness, in a process of its own, for it forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HARNESS = Path(__file__).with_name("config_file.py")


def run(results: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(HARNESS), "--results", str(results), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(results.read_text().splitlines()[-1])


def test_no_login_is_lost_by_kills_or_a_crowd(tmp_path: Path) -> None:
    code, record = run(tmp_path / "faults.jsonl", "--kills", "50", "--writers", "16")
    assert record["good"], record["said"]
    assert code == 0
    assert (record["kills"], record["writers"], record["kind"]) == (50, 16, "config_file")
    assert record["interrupted"] >= 5, "the kills did not strike in the middle of a write"


def test_the_harness_sees_a_careless_writer(tmp_path: Path) -> None:
    code, record = run(tmp_path / "faults.jsonl", "--kills", "25", "--writers", "16", "--careless")
    assert code == 1
    assert not record["good"]
    assert record["invalid"] + record["entries_lost"] > 0
