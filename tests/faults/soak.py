"""Many whole runs in a row on one sandbox; the guided page's work over and over in one process; then many
builds at once on one builder: `python tests/faults/soak.py [--runs N] [--page N] [--builds N]`.

Adds a record of kind "soak" to the results file: what grows with the number of runs, by a straight line
through the measurements (least squares). The first tenth of the runs and the first half of the page's rounds
are left out of it: caches fill then. Exit code 1 where a bound of soak_bounds.py is not held.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # what is shared with other tests

from evidence import is_served
from healing import heal
from records import RESULTS
from run import commit_of, keep
from runner import Running
from soak_bounds import judged
from world import World

from sandbox.cluster.processes import find_daemons

_STEPS = "install_pod,configure_auth,fetch_buildctl,test_push"
_RUN_LIMIT = 300.0
_BUILD_LIMIT = 300.0  # of one build among many; its step looks at the registry before and after


@dataclass(frozen=True)
class Measure:
    """At one moment: hours since the beginning, MiB of RSS, open descriptors and processes, MiB on disk.

    `ours` are processes that carry the mark of a run (none should be left between two runs).
    `builder_cache` is -1 where it could not be asked for.
    """

    hours: float
    sandbox_rss: float
    builder_rss: float
    sandbox_descriptors: int
    sandbox_processes: int
    ours: int
    runs_size: float
    home_size: float
    builder_cache: float


def measure(world: World, number: int, begun: float) -> Measure:
    daemons = [d.process for d in find_daemons(world.layout.root)]
    builder = world.daemons("buildkitd")
    answer = world.kubectl(
        *("-n", world.namespace, "exec", "buildkitd", "--", "du", "-sm", "/var/lib/buildkit"), check=False
    ).stdout
    return Measure(
        hours=(time.monotonic() - begun) / 3600,
        sandbox_rss=sum(_rss(p) for p in daemons),
        builder_rss=sum(_rss(p) for p in builder),
        sandbox_descriptors=sum(_descriptors(p) for p in [*daemons, *builder]),
        sandbox_processes=len(daemons),
        ours=len(world.marked(number)),
        runs_size=_size(world.folder / "runs"),
        home_size=_size(world.folder / "home") + _size(world.folder / "tmp"),
        builder_cache=float(answer.split()[0]) if answer.split() else -1.0,
    )


def _rss(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


def _descriptors(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0


def _size(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20


def slope(points: list[tuple[float, float]]) -> float:
    """The slope of the line of least squares; 0 for fewer than two moments."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def runs(world: World, most: int, keep_runs: int, minutes: float) -> dict[str, Any]:
    """Whole runs as a user starts them, until there are `most` or the minutes are over.

    All share one folder of runs, so that its bound can be seen.
    """
    measures: list[Measure] = []
    seconds: list[float] = []
    failed: list[str] = []
    served = 0
    begun = time.monotonic()
    for turn in range(1, most + 1):
        if time.monotonic() - begun > minutes * 60:
            break
        at = time.monotonic()
        started = world.start_headless(_STEPS, 1, resume=False, keep_runs=keep_runs, tags=[f"soak{turn}"])
        if started.wait(_RUN_LIMIT) != 0:
            failed.append(world.output(1).read_text()[-500:])
        served += bool(world.storage.digest_of(f"soak{turn}"))
        seconds.append(time.monotonic() - at)
        measures.append(measure(world, 1, begun))
        print(
            f"run {turn}/{most}: {seconds[-1]:.1f} s, {len(failed)} failed, {served} served, {measures[-1]}",
            flush=True,
        )
    count = len(measures)
    settled = measures[count // 10 :]
    names = [n for n in asdict(measures[0]) if n != "hours"]
    found: dict[str, Any] = {"runs": count, "runs_failed": len(failed), "first_failure": (failed or [""])[0]}
    found |= {
        "runs_served": served,
        "ours_most": max(m.ours for m in measures),
        "cache_unknown": sum(m.builder_cache < 0 for m in measures),
        "hours": round(measures[-1].hours, 3),
        "run_seconds_median": round(sorted(seconds)[count // 2], 1),
    }
    for name in names:
        line = [(m.hours, float(getattr(m, name))) for m in settled]
        found[f"{name}_last"] = round(line[-1][1], 1)
        found[f"{name}_per_hour"] = round(slope(line), 2)
    kept = len(list(world.run_dir(1).glob("*/run.json")))
    return found | {"runs_kept": kept, "keep_runs": keep_runs, "cache_limit": _cache_limit(world)}


def _cache_limit(world: World) -> float:
    """MB at which the daemon's own rules begin to collect what they otherwise keep; 0 where it has none."""
    words = ("-n", world.namespace, "exec", "buildkitd", "--", "buildctl", "debug", "workers")
    workers = json.loads(world.kubectl(*words, "--format", "{{json .}}").stdout)
    return float(workers[0]["gcPolicy"][-1]["maxUsedSpace"]) / 1e6


def page(world: World, rounds: int) -> dict[str, Any]:
    """What the guided page's kernel does, by one process: its memory, descriptors and threads."""
    heal(world, upto="test_push")
    parameters = world.folder / "page.json"
    limits = {"request_timeout": 30.0, "ready_timeout": 120.0}
    parameters.write_text(json.dumps(world.parameters(0, run_dir=str(world.folder / "page"), **limits)))
    command = [sys.executable, str(Path(__file__).with_name("soak_page.py")), str(parameters), str(rounds)]
    seen: list[dict[str, Any]] = []
    begun = time.monotonic()
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            proven = world.storage.digest_of(told["tag"]) == told["digest"] != ""
            seen.append({**told, "hours": (time.monotonic() - begun) / 3600, "proven": proven})
            if len(seen) % 10 == 0:
                print(f"page {len(seen)}/{rounds}: {line.strip()}", flush=True)
    half, quarter = seen[len(seen) // 2 :], max(1, len(seen) // 4)
    mean = sum(one["rss"] for one in half) / max(1, len(half))
    found: dict[str, Any] = {"page_rounds": rounds, "page_proven": sum(one["proven"] for one in seen)}
    found["page_rss_percent_per_hour"] = round(slope([(o["hours"], o["rss"] / mean * 100) for o in half]), 2)
    for name in ("descriptors", "threads"):
        counts = [one[name] for one in seen]
        # The fewest: a connection may end a moment after its round, and a leak raises the floor.
        found[f"page_{name}_early_late"] = [min(counts[quarter : 2 * quarter]), min(counts[-quarter:])]
    return found


def builds(world: World, count: int) -> dict[str, Any]:
    """Many steps of building and pushing at once, each with a tag and a build of its own."""
    numbers = range(1000, 1000 + count)
    begun = time.monotonic()
    for number in numbers:
        world.begin(number)
    limits = {"build_timeout": _BUILD_LIMIT, "stall_timeout": 120.0, "request_timeout": 60.0}
    started = {n: world.start_apart("test_push", n, **limits) for n in numbers}
    codes = Counter(_ended(p, begun + 2 * _BUILD_LIMIT) for p in started.values())
    served = sum(is_served(world, n) for n in numbers)
    said = Counter(world.output(n).read_text().strip()[-160:] for n in numbers if started[n].poll())
    return {
        "builds_at_once": count,
        "builds_proven": codes[0],
        "builds_hung": codes[None],
        "builds_served": served,
        "builds_seconds": round(time.monotonic() - begun, 1),
        "builds_said": said.most_common(1)[0][0] if said else "",
        "builds_processes_left": sum(len(world.marked(n)) for n in numbers),
    }


def _ended(process: Running, deadline: float) -> int | None:
    """The exit code; None for one that has not ended by `deadline` (monotonic), and is killed."""
    try:
        return process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        return None


def _parts(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if options.runs:
        yield runs(world, options.runs, options.keep_runs, options.minutes)
    if options.page:
        yield page(world, options.page)
    if options.builds:
        heal(world, upto="test_push")
        yield builds(world, options.builds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=240.0, help="no further whole run after that")
    parser.add_argument("--page", type=int, default=200)
    parser.add_argument("--builds", type=int, default=50)
    parser.add_argument("--keep-runs", type=int, default=20)
    parser.add_argument("--instance", default="soak")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        world = World(options.instance, Path(folder))
        world.prepare()
        found: dict[str, Any] = {}
        try:
            for seen in _parts(world, options):
                keep(options.results, commit_of(), {"kind": "soak", **seen})  # what comes later may fail
                found |= seen
        finally:
            world.close()
            world.reset()
    print("\n".join(f"{name:32} {value}" for name, value in found.items()))
    bounds = judged(found)
    for what, value, most, held in bounds:
        print(f"{'ok ' if held else 'BAD'} {what}: {value:g}, at most {most:g}")
    return 0 if all(held for *_, held in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
