"""A few faults of the table in every test run; `make faults` strikes with all of them."""

from __future__ import annotations

import pytest
from fault import PHASES, STEPS
from harness import run_case
from table import cases
from world import World

pytestmark = pytest.mark.sandbox

CHOSEN = (
    ("test_push", "RUN", "SIGKILL the runbook itself"),
    ("test_push", "apply", "SIGKILL buildkitd"),
    ("test_push", "apply", "registry cuts uploads after 100 bytes"),
    ("test_push", "verify", "the tag is moved behind our back"),
    ("test_push", "verify", "while the image runs: its pod deleted"),
    ("configure_auth", "check", "a clock -30d off"),
)


@pytest.mark.parametrize(("step", "phase", "name"), CHOSEN)
def test_a_fault_ends_in_proof_or_in_one_typed_error(world: World, step: str, phase: str, name: str) -> None:
    number = 1 + CHOSEN.index((step, phase, name))
    fault = next(f for s, p, f in cases() if (s, p, f.name) == (step, phase, name))
    result = run_case(world, number, step, phase, fault)
    assert result.is_good, result
    assert result.struck, result


def test_the_table_has_every_step_and_phase() -> None:
    assert {(s, p) for s, p, _ in cases()} >= {(s, p) for s in STEPS for p in PHASES}
    assert len(cases()) > 300
