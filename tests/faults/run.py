"""Every fault at every step: `python tests/faults/run.py [--rounds N] [--only TEXT] [--results FILE]`.

Prints a line a case and the table, and adds each result to the results file. Exit code 1 when one was bad.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from harness import Result, run_case
from table import STEPS, cases
from world import World

RESULTS = platformdirs.user_state_path("buildkit-runbook") / "faults.jsonl"


def main() -> int:
    options = _options()
    chosen = [c for c in cases() if all(t in " ".join((c[0], c[1], c[2].name)) for t in options.only)]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    bad: list[Result] = []
    seen: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        world = World(options.instance, Path(folder))
        world.prepare()
        number = int(time.time()) % 1_000_000 * 10_000  # tags and build arguments of their own for each round
        for _ in range(options.rounds):
            for step, phase, fault in chosen:
                number += 1
                result = run_case(world, number, step, phase, fault)
                seen.append(result)
                bad += [] if result.is_good else [result]
                _keep(options.results, result)
                _say(result, len(seen), len(chosen) * options.rounds)
        world.sandbox("reset")
    _table(seen)
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="texts that step, phase and fault must have")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--instance", default="faults")
    return parser.parse_args()


def _keep(path: Path, result: Result) -> None:
    record = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.platform()}
    with path.open("a") as file:
        file.write(json.dumps({**record, **result.as_record()}) + "\n")


def _say(result: Result, number: int, total: int) -> None:
    mark = "ok " if result.is_good else "BAD"
    struck = "" if result.struck else " (ended before the fault struck)"
    line = f"{mark} [{number}/{total}] {result.step} {result.phase}: {result.fault}{struck}: {result.outcome}"
    line += f" after {result.seconds} s; rerun {result.rerun}"
    print(line + (f"; left {result.left}" if result.left else ""), flush=True)
    if result.said:
        print(f"      {result.said}", flush=True)


def _table(seen: list[Result]) -> None:
    print(f"\n{'fault':44}" + "".join(f"{step:>26}" for step in STEPS))
    for fault in dict.fromkeys(r.fault for r in seen):
        cells = []
        for step in STEPS:
            mine = [r for r in seen if (r.fault, r.step) == (fault, step)]
            counted = Counter(r.outcome if r.is_good else "BAD" for r in mine)
            worst = max((r.seconds for r in mine), default=0.0)
            cells.append(
                ", ".join(f"{n} {o}" for o, n in counted.items()) + (f" {worst:.0f}s" if mine else "")
            )
        print(f"{fault:44}" + "".join(f"{cell:>26}" for cell in cells))
    bad, struck = sum(not r.is_good for r in seen), sum(r.struck for r in seen)
    print(f"\n{len(seen)} cases, {struck} struck in time, {bad} bad")


if __name__ == "__main__":
    sys.exit(main())
