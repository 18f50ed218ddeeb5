"""Long and crowded use: `python tests/faults/soak.py [--runs N] [--page N] [--builds N]`.

Three parts on one sandbox: the guided page's work over and over in one process, whole headless runs one after
the other, and many builds at once on one builder. Nothing may fail or grow; every digest is looked for in the
registry's own storage. Adds one record of kind "soak" to the results file. Exit code 1 when it is not good.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import yaml
from run import RESULTS, commit_of_code, keep
from world import World

from runbook_lib.cluster import daemon
from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.scratch import PREFIX
from runbook_lib.settings_sources import validate
from runbook_lib.steps.test_push import TestPush

MOST_SLOPE = 1.0  # per cent an hour
KEPT_RUNS = 20
_PATIENT = {"request_timeout": 30.0, "ready_timeout": 120.0, "build_timeout": 900.0, "stall_timeout": 300.0}
_RUN_LIMIT = 300.0  # seconds
Record = dict[str, Any]


def main() -> int:
    options = _options()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        world = World(options.instance, Path(folder))
        world.prepare()
        try:
            before = _household(world)
            record: Record = {"kind": "soak", "page": _page(world, options.page)}
            record["runs"] = _runs(world, options.runs)
            record["builds"] = _builds(world, options.builds)
            record["before"], record["after"] = before, _household(world)
            record["cache"] = _cache(world)
        finally:
            world.close()
            world.reset()
    record["seconds"] = round(time.monotonic() - begun)
    record["good"] = _is_good(record)
    keep(options.results, commit_of_code(), flat(record))
    print(json.dumps(record, indent=2))
    return 0 if record["good"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="whole headless runs, one after the other")
    parser.add_argument("--page", type=int, default=200, help="rounds of the page's work in one process")
    parser.add_argument("--builds", type=int, default=50, help="builds at once")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--instance", default="soak")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    return options


def _page(world: World, rounds: int) -> Record:
    parameters = world.folder / "page.json"
    given = world.parameters(0, **_PATIENT, run_dir=str(world.folder / "page"))
    parameters.write_text(json.dumps(given))
    script = str(Path(__file__).with_name("soak_page.py"))
    command = [sys.executable, script, str(parameters), str(rounds)]
    seen: list[Record] = []
    begun = time.monotonic()
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            one = json.loads(line)
            seen.append({**one, "at": time.monotonic() - begun, "proven": _is_served(world, one)})
            _say("page", len(seen), rounds, one["seconds"])
    lost = rounds - sum(one["proven"] for one in seen)
    return {
        "rounds": len(seen),
        "failed": lost if process.returncode == 0 else rounds - len(seen) + lost,
        "rss_percent_an_hour": slope([(o["at"], o["rss"]) for o in seen]),
        "rss": _ends([o["rss"] for o in seen]),
        "descriptors": _ends([o["descriptors"] for o in seen]),
        "threads": _ends([o["threads"] for o in seen]),
        "journal_bytes": (world.folder / "page" / "journal.jsonl").stat().st_size,
    }


def _runs(world: World, runs: int) -> Record:
    base, failed, seconds = world.folder / "headless", 0, []
    double: list[tuple[float, float]] = []
    descriptors: list[int] = []
    begun = time.monotonic()
    for number in range(runs):
        tag = f"run-{number}"
        values = world.parameters(0, **_PATIENT, run_dir=str(base), tags=[tag])
        values["build_args"] = {"ROUND": f"{tag}-{time.time()}"}
        profile = world.folder / "profile.yaml"
        profile.write_text(yaml.safe_dump(values))
        command = [sys.executable, "-m", "runbook_lib", "run", "--profile", str(profile)]
        command += ["--keep-runs", str(KEPT_RUNS)]
        start = time.monotonic()
        done = subprocess.run(command, text=True, capture_output=True, timeout=_RUN_LIMIT)
        seconds.append(time.monotonic() - start)
        newest = max(p.parent for p in base.glob("*/run.json"))
        one = {"tag": tag, "digest": Journal(newest).look_up("pushed_digest")}
        if done.returncode or not _is_served(world, one):
            failed += 1
            print(done.stdout[-500:], done.stderr[-1000:], flush=True)
        double.append((time.monotonic() - begun, float(sum(_rss(p) for p in world.daemons("registry")))))
        descriptors.append(sum(p.num_fds() for p in world.daemons("registry")))
        _say("run", number + 1, runs, seconds[-1])
    return {
        "runs": runs,
        "failed": failed,
        "seconds": [round(statistics.median(seconds), 1), round(max(seconds), 1)] if seconds else [],
        "folders": len(list(base.glob("*/run.json"))),
        "double_rss_percent_an_hour": slope(double),
        "double_descriptors": _ends(descriptors),
    }


def _builds(world: World, builds: int) -> Record:
    def one(number: int) -> str:
        tag = f"crowd-{number}"
        values = world.parameters(0, **_PATIENT, run_dir=str(world.folder / "crowd" / tag), tags=[tag])
        values["build_args"] = {"ROUND": f"{tag}-{time.time()}"}
        step = TestPush(validate(values), Journal(Path(values["run_dir"])), silent_sink)
        try:
            step.apply().require("apply")
            step.verify().require("verify")
        except RunbookError as e:
            return f"{type(e).__name__}: {e.what[:200]}"
        served = _is_served(world, {"tag": tag, "digest": step.journal.look_up("pushed_digest")})
        return "" if served else "false success"

    begun = time.monotonic()
    with ThreadPoolExecutor(builds) as pool:
        said = list(pool.map(one, range(builds)))
    errors = [text for text in said if text]
    return {
        "builds": builds,
        "failed": len(errors),
        "errors": errors[:5],
        "seconds": round(time.monotonic() - begun, 1),
    }


def _cache(world: World) -> Record:
    """What the builder's cache uses, and the limit at which BuildKit itself collects (bytes)."""
    values = world.parameters(0)
    step = TestPush(validate(values), Journal(Path(values["run_dir"])), silent_sink)
    records = daemon.cache_records(step.cluster, "buildkitd")
    [worker] = daemon.workers(step.cluster, "buildkitd")
    limits = [int(p.get("maxUsedSpace") or 0) for p in worker.get("gcPolicy") or []]
    size = sum(int(r.get("size") or 0) for r in records)
    return {"bytes": size, "records": len(records), "limit_bytes": max(limits, default=0)}


def _household(world: World) -> Record:
    """What might be left behind: processes of ours, temporary folders."""
    mine = str(world.folder)
    left = [p for p in psutil.process_iter(["cmdline"]) if any(mine in w for w in p.info["cmdline"] or [])]
    return {
        "processes": len(left),
        "temporary": len(list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))),
    }


def _is_served(world: World, one: Record) -> bool:
    link = world.tag_folder(one["tag"]) / "current" / "link"
    return link.exists() and link.read_text().strip() == one["digest"]


def _is_good(record: Record) -> bool:
    page, runs, builds = record["page"], record["runs"], record["builds"]
    slopes = (page["rss_percent_an_hour"], runs["double_rss_percent_an_hour"])
    counts = [page["descriptors"], page["threads"], *([runs["double_descriptors"]] if runs["runs"] else [])]
    grown = [last > early * 1.1 + 2 for early, last in counts]
    return (
        not (page["failed"] or runs["failed"] or builds["failed"])
        and all(s is None or s < MOST_SLOPE for s in slopes)
        and not any(grown)
        and record["after"]["processes"] == record["before"]["processes"]
        and runs["folders"] <= KEPT_RUNS
    )


def flat(record: Record) -> Record:
    """Parts in parts as one mapping, for the report's table: "page rounds", "runs failed"."""
    found: Record = {}
    for name, value in record.items():
        parts = value.items() if isinstance(value, dict) else []
        found |= {f"{name} {inner}".replace("_", " "): one for inner, one in parts} or {name: value}
    return found


def slope(samples: Sequence[tuple[float, float]]) -> float | None:
    """Per cent an hour of (seconds, bytes) over the second half, when caches are full; None for too few."""
    half = samples[len(samples) // 2 :]
    if len(half) < 5:
        return None
    times, values = [s[0] / 3600 for s in half], [s[1] for s in half]
    return round(statistics.linear_regression(times, values).slope / statistics.mean(values) * 100, 2)


def _ends(values: Sequence[int]) -> list[int]:
    """The most in the second quarter, when all is warm, and the most in the last one."""
    quarter = max(1, len(values) // 4)
    return [max(values[quarter : 2 * quarter] or values), max(values[-quarter:])] if values else []


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _say(what: str, number: int, total: int, seconds: float) -> None:
    if number % 10 == 0 or number == total:
        print(f"{what} {number}/{total}: {seconds:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
