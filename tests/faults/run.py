"""Every fault at every step: `python tests/faults/run.py [--rounds N] [--upto N] [--only TEXT]`.

Prints a line a case and the table, and adds each result to the results file. Exit code 1 when one was bad.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # what is shared with other tests

from canaries import forms_of
from fault import STEPS, Fault
from harness import Result, run_case
from leaks import ProcessWatch, leaks_in_logs
from records import RECORDS, RESULTS, added_up, good_rounds, read
from table import cases
from world import World

Case = tuple[str, str, Fault]  # step, phase


def main() -> int:
    options = _options()
    chosen = [c for c in cases() if all(t in " ".join((c[0], c[1], c[2].name)) for t in options.only)]
    part, parts = (int(n) for n in options.shard.split("/"))
    options.results.parent.mkdir(parents=True, exist_ok=True)
    plan = planned(chosen[part - 1 :: parts], options)
    seen: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        world = World(options.instance, Path(folder))
        world.prepare()
        world.plant_canary()
        try:
            with ProcessWatch(forms_of(world.env["REGISTRY_USERNAME"], world.token)) as watch:
                _run(world, plan, options, seen)
            leaked = [*sorted(watch.seen), *leaks_in_logs(world)]
            size = sum(p.stat().st_size for p in world.layout.logs.rglob("*") if p.is_file())
            record = {"processes_looked_at": watch.looked, "log_bytes_searched": size, "found": len(leaked)}
            keep(options.results, commit_of(), {"kind": "leaks", **record, "places": leaked})
        finally:
            world.close()
            world.reset()
    _table(seen)
    for place in leaked:
        print(f"BAD the secret was seen: {place}")
    return 1 if leaked or any(not r.is_good for r in seen) else 0


def planned(chosen: list[Case], options: argparse.Namespace) -> list[Case]:
    """The cases to run, one after the other, those that were judged good least often first.

    A round that is cut short is no loss so. With `--upto`, only what is missing to it.
    """
    records = added_up(read(RECORDS), read(options.results))
    good = good_rounds(records)
    rounds = {case: good[case[0], case[1], case[2].name] for case in chosen}
    runs = [(rounds[case] + n, case) for n in range(options.rounds) for case in chosen]
    most = options.upto or sys.maxsize
    return [case for before, case in sorted(runs, key=itemgetter(0)) if before < most]


def _run(world: World, plan: list[Case], options: argparse.Namespace, seen: list[Result]) -> None:
    commit = commit_of()
    number = int(time.time()) % 1_000_000 * 10_000  # tags and build arguments of their own for each round
    for step, phase, fault in plan:
        number += 1
        result = _tried(world, number, step, phase, fault)
        seen.append(result)
        keep(options.results, commit, result.as_record())
        _say(result, len(seen), len(plan))


def _tried(world: World, number: int, step: str, phase: str, fault: Fault) -> Result:
    """The case; where the sandbox itself cannot be mended, it is made anew and the case is a bad one."""
    try:
        return run_case(world, number, step, phase, fault)
    except Exception as e:  # noqa: BLE001  one case must not end the round
        traceback.print_exc()
        for place in leaks_in_logs(world):  # the logs go with the instance
            print(f"BAD the secret was seen: {place}")
        world.rebuild()
        return Result(step, phase, fault.name, "harness", f"{type(e).__name__}: {e}"[:1500])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--upto", type=int, default=0, help="no case that was good N times, by all records")
    parser.add_argument("--only", nargs="*", default=[], help="texts that step, phase and fault must have")
    parser.add_argument("--shard", default="1/1", help="K/N: the K-th of N parts, such as 1/2")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--instance", default="faults")
    return parser.parse_args()


def commit_of() -> str:
    """The state of the code: the commit, with a plus where files differ from it."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        return subprocess.run(command, text=True, capture_output=True, timeout=30, check=True).stdout.strip()

    return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain") else "")


def keep(path: Path, commit: str, record: dict[str, Any]) -> None:
    """Add a record to the results file, in one write: other writers add to it, too."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    about = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "commit": commit}
    with path.open("a") as file:
        file.write(json.dumps({**about, **record}) + "\n")


def _say(result: Result, number: int, total: int) -> None:
    mark = "ok " if result.is_good else "BAD"
    struck = "" if result.struck else " (ended before the fault struck)"
    line = f"{mark} [{number}/{total}] {result.step} {result.phase}: {result.fault}{struck}: {result.outcome}"
    line += f" after {result.seconds} s; rerun {result.rerun}; {result.took} s in all"
    line += f"; left {result.left}" if result.left else ""
    line += f"; healing {result.healing}" if result.healing else ""
    print(line + (f"; LEAKED {result.leaked}" if result.leaked else ""), flush=True)
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
