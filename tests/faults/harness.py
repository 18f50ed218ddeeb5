"""One case: the step at work, the fault at the named phase, how it ended, and whether a rerun mends it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import Any

from table import STEPS, Fault
from world import World

from runbook_lib import errors

LIMIT = 75.0  # seconds after which a step hangs: the harness's longest limit (60 s until Ready) and some more
_RERUN_LIMIT = 150.0
GOOD = ("proven", "typed error", "killed")


@dataclass
class Result:
    """`outcome`: proven, typed error, killed, or what must not be: untyped, hang, false success.

    `struck`: the fault struck (a step may have ended its phase before). `rerun`: the outcome after healing.
    `left`: what was left behind. `seconds`: from the strike to the end.
    """

    step: str
    phase: str
    fault: str
    outcome: str = ""
    said: str = ""
    struck: bool = False
    seconds: float = 0.0
    rerun: str = ""
    left: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Nothing hung, lied or stayed behind, and the rerun was proven."""
        return self.outcome in GOOD and self.rerun == "proven" and not self.left

    def as_record(self) -> dict[str, Any]:
        """A plain dictionary for the results file."""
        return {**asdict(self), "good": self.is_good}


def run_case(world: World, number: int, step: str, phase: str, fault: Fault) -> Result:
    """Carry one case out. Raises only where the sandbox itself cannot be healed."""
    result = Result(step, phase, fault.name)
    heal(world, number, upto=step)
    world.undo(step)
    process = world.start(step, number)
    try:
        if _phase_begins(world, number, step, phase, process):
            result.struck = _strike(world, number, fault, process)
        begun = time.monotonic()
        _end(process, LIMIT, result)
        result.seconds = round(time.monotonic() - begun, 1)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    _continue(world)
    if result.outcome == "proven" and step == "test_push" and not _is_served(world, number):
        result.outcome = "false success"
    heal(world, number, upto=step)
    again = Result(step, phase, fault.name)
    process = world.start(step, number)
    _end(process, _RERUN_LIMIT, again)
    result.rerun = again.outcome if again.outcome == "proven" else f"{again.outcome}: {again.said}"
    result.left = tuple(world.left_over(number))
    return result


def heal(world: World, number: int, upto: str) -> None:
    """Take every fault away, mend the sandbox, and bring what stands before step `upto` into being."""
    _continue(world)
    world.sandbox("up")
    with world.admin as admin:
        admin.reset()
    for step in STEPS[: STEPS.index(upto)]:
        if step == "configure_auth" and upto == "fetch_buildctl":
            continue
        for attempt in range(3):
            ended = Result(step, "heal", "none")
            _end(world.start(step, number), _RERUN_LIMIT, ended)
            if ended.outcome == "proven":
                break
            if attempt == 2:
                raise RuntimeError(f"{step} cannot be mended: {ended.said}")
            world.undo(step)


def _continue(world: World) -> None:
    for component in ("apiserver", "etcd", "containerd", "kubelet", "registry", "distribution", "buildkitd"):
        for process in world.daemons(component):
            process.send_signal(signal.SIGCONT)


def _phase_begins(world: World, number: int, step: str, phase: str, process: subprocess.Popen[str]) -> bool:
    journal = world.run_dir(number) / "journal.jsonl"
    offset = journal.stat().st_size if journal.exists() else 0
    wanted = (step, phase, "started")
    while process.poll() is None:
        if journal.exists():
            with journal.open("rb") as file:
                file.seek(offset)
                lines = [line for line in file.read().split(b"\n") if line.endswith(b"}")]
            entries = [json.loads(line) for line in lines]
            if any((e["step"], e["phase"], e["kind"]) == wanted for e in entries):
                return True
        time.sleep(0.01)
    return False


def _strike(world: World, number: int, fault: Fault, process: subprocess.Popen[str]) -> bool:
    """Strike as soon as there is something to strike, while the step is at work."""
    while process.poll() is None:
        if fault.strike(world, number):
            return True
        time.sleep(0.02)
    return False


def _end(process: subprocess.Popen[str], limit: float, result: Result) -> None:
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        result.outcome = "hang"
        process.kill()
        process.communicate()
        return
    said = out.strip().splitlines()[-1] if out.strip() else ""
    result.said = said[:300]
    kind = said.partition(":")[0]
    if process.returncode == 0:
        result.outcome = "proven"
    elif process.returncode == -signal.SIGKILL:
        result.outcome = "killed"
    elif process.returncode == 1 and hasattr(errors, kind) and "[NO REMEDY]" not in said:
        result.outcome = "typed error"
    else:
        result.outcome = f"untyped (exit {process.returncode})"
        result.said = out.strip()[-1500:]


def _is_served(world: World, number: int) -> bool:
    """Whether distribution itself, behind the double, has the tag; the journal has the digest."""
    values = world.parameters(number)
    facts: dict[str, Any] = {}
    for line in (world.run_dir(number) / "journal.jsonl").read_text().splitlines():
        entry = json.loads(line)
        facts |= entry["data"] if entry["kind"] == "fact" else {}
    folder = (
        world.layout.data / "registry" / "docker" / "registry" / "v2" / "repositories" / values["repository"]
    )
    link = folder / "_manifests" / "tags" / values["tags"][0] / "current" / "link"
    return link.exists() and link.read_text().strip() == facts.get("pushed_digest")


__all__ = ["GOOD", "LIMIT", "Result", "heal", "run_case"]
