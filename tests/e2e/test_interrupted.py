"""A run killed in the middle of each step goes on where it was, and leaves nothing behind."""

from __future__ import annotations

import json
import time

import pytest
from e2e_support import SECONDS, Runbook

from runbook_lib.steps.catalog import DEFAULT_STEPS

pytestmark = pytest.mark.sandbox


def wait_for_apply(runbook: Runbook, step: str) -> None:
    """Return as soon as the journal says that `step` applies."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for path in (runbook.folder / "runs").glob("*/journal.jsonl"):
            entries = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
            if any((e["step"], e["phase"], e["kind"]) == (step, "apply", "started") for e in entries):
                return
        time.sleep(0.05)
    pytest.fail(f"{step} did not apply within {SECONDS} s")


def test_a_run_killed_in_every_step_ends_in_a_proven_push(runbook: Runbook) -> None:
    words = ["run", *runbook.options]
    for step in DEFAULT_STEPS:
        with runbook.start(*words) as process:
            wait_for_apply(runbook, step)
            process.kill()
            process.communicate(timeout=30)
        words = ["run", "--resume", *runbook.options]
    code, out = runbook.run(*words)
    assert code == 0, out
    assert out.count("verified again") == len(DEFAULT_STEPS) - 1, out
    assert len(list((runbook.folder / "runs").glob("*/run.json"))) == 1
    assert runbook.served_digest() in out
    assert runbook.left_over() == []
    assert not list((runbook.folder / "bin").glob(".fetch-*"))
    assert not list((runbook.folder / "docker").glob("*.tmp.*"))
