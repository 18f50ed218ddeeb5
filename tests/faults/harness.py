"""One case: the step at work, the fault at the named phase, how it ended, and whether a rerun mends it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import Any

from evidence import is_there_at_once, left_over, stands, survivors
from fault import MIDDLES, Fault, Scene
from healing import heal
from leaks import leaks_in_events, leaks_in_files
from runner import Running
from world import UPLOADS, World

from runbook_lib import errors

# Raised when a case is looked at more closely: what was judged before may have hidden what is seen now.
LOOKS = 2
LIMIT = 75.0  # seconds after which a step hangs: the harness's longest limit (60 s for a build) and some more
DETECTION = 30.0  # seconds in which an error must have come
_RERUN_LIMIT = 150.0
# BuildKit waits 5 s for each session of a build that was lost (session/manager.go, Get), where a new build
# meets the old one in the daemon: 10 s after a retry that was lost as well, and no stall.
_PATIENCE = 30.0
_ERROR = re.compile(r"[A-Z]\w*Error: ")  # a headless run says more after it
GOOD = ("proven", "typed error", "killed")
NO_CAUSE = "error without a cause"


@dataclass
class Result:
    """`outcome`: proven, typed error, killed, or what must not be: late, untyped, without a cause, hang,
    false success.

    `struck`: the fault struck (a step may have ended its phase before). `rerun`: the outcome after healing.
    `healing`: what a step before said that had to be done again and failed at first. `left`: what stayed
    behind; `leaked`: where the secret was found. `seconds`: from the strike to the end;
    `took`: the whole case.
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
    leaked: tuple[str, ...] = ()
    took: float = 0.0
    healing: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Nothing hung, lied, leaked or stayed behind, and the rerun was proven."""
        return self.outcome in GOOD and self.rerun == "proven" and not self.left and not self.leaked

    def as_record(self) -> dict[str, Any]:
        """A plain dictionary for the results file."""
        return {"kind": "case", **asdict(self), "good": self.is_good, "looks": LOOKS, "at_once": True}


def run_case(world: World, number: int, step: str, phase: str, fault: Fault, limit: float = LIMIT) -> Result:
    """Carry one case out. Raises only where the sandbox itself cannot be healed."""
    result = Result(step, phase, fault.name)
    began = time.monotonic()
    with fault.scene(world, number) as scene:
        heal(world, step, **scene.overrides)
        world.undo(step)
        if step == "fetch_buildctl":
            _ = world.buildctl_digest  # asked for while nothing is in the way
        world.begin(number)
        if phase == "push":
            _slow_uploads(world)
        _struck_run(world, number, result, fault, scene, limit)
        result.left = tuple(survivors(world, number))
        leaked = leaks_in_files(world, number)  # the rerun writes over some of it
    result.healing = tuple(heal(world, step, **scene.overrides_after))
    again = Result(step, phase, fault.name)
    _end(world, number, _started(world, number, step, scene, again=True), _RERUN_LIMIT, again, scene)
    if again.outcome == "proven" and not stands(world, step, number, world.registry(scene.overrides_after)):
        again.outcome = "false success"
    result.rerun = again.outcome if again.outcome == "proven" else f"{again.outcome}: {again.said}"
    result.left += tuple(left_over(world, number))
    result.leaked = tuple(dict.fromkeys([*leaked, *leaks_in_files(world, number), *leaks_in_events(world)]))
    result.took = round(time.monotonic() - began, 1)
    return result


def _started(world: World, number: int, step: str, scene: Scene, *, again: bool = False) -> Running:
    if scene.headless:
        return world.start_headless(step, number, resume=again)
    if again:
        return world.start(step, number, **{"stall_timeout": _PATIENCE, **scene.overrides_after})
    return world.start(step, number, scene.preload, **scene.overrides)


def _struck_run(world: World, number: int, result: Result, fault: Fault, scene: Scene, limit: float) -> None:
    process = _started(world, number, result.step, scene)
    scene.runner = process.pid
    try:
        if _phase_begins(world, number, result.step, result.phase, process, limit):
            result.struck = _strike(world, number, fault, scene, process, limit)
        begun = time.monotonic()
        _end(world, number, process, limit, result, scene)
        result.seconds = round(time.monotonic() - begun, 1)
        result.struck = result.struck and fault.hit(world, scene)
    finally:
        process.kill()
    if result.outcome == "typed error" and result.seconds > DETECTION + fault.undetectable:
        result.outcome = "late error"
    result.outcome = with_cause(result.outcome, fault, struck=result.struck)
    if result.outcome == "proven" and _is_false(world, number, result, fault, scene):
        result.outcome = "false success"


def with_cause(outcome: str, fault: Fault, *, struck: bool) -> str:
    """The outcome; an error that no fault is a cause of is not good, however well it is put."""
    is_caused = struck and not fault.must_pass
    return NO_CAUSE if outcome == "typed error" and not is_caused else outcome


def _slow_uploads(world: World) -> None:
    """So that there is a middle to strike in: a push of these small images takes 40 ms."""
    with world.admin as admin:
        admin.add_fault("latency", milliseconds=400, path=UPLOADS)


def _begins(step: str, phase: str, entry: dict[str, Any]) -> bool:
    """Whether a journal's entry says that the phase begins; the middles of a build in BuildKit's words."""
    if phase in MIDDLES:
        words = {"RUN": "RUN echo round", "push": "pull,push token"}[phase]
        return entry.get("kind") == "event" and words in str(entry["data"].get("message"))
    return (entry.get("step"), entry.get("phase"), entry.get("kind")) == (step, phase, "started")


def _phase_begins(world: World, number: int, step: str, phase: str, process: Running, limit: float) -> bool:
    seen = {p: p.stat().st_size for p in world.journals(number)}
    deadline = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < deadline:
        for journal in world.journals(number):
            with journal.open("rb") as file:
                file.seek(seen.get(journal, 0))
                lines = [line for line in file.readlines() if line.endswith(b"}\n")]
                seen[journal] = seen.get(journal, 0) + sum(map(len, lines))
            if any(_begins(step, phase, json.loads(line)) for line in lines):
                return True
        time.sleep(0.01)
    return False


def _strike(world: World, number: int, fault: Fault, scene: Scene, process: Running, limit: float) -> bool:
    """Strike as soon as there is something to strike, while the step is at work."""
    deadline = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < deadline:
        if fault.strike(world, number, scene):
            return True
        time.sleep(0.02)
    return False


def _end(world: World, number: int, process: Running, limit: float, result: Result, scene: Scene) -> None:
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        result.outcome = "hang"
        process.kill()
        process.wait(10)
        return
    out = world.output(number).read_text(errors="replace").strip()
    lines = out.splitlines()
    said = next((line for line in lines if _ERROR.match(line)), lines[-1] if lines else "")
    result.said = said[:300]
    kind = said.partition(":")[0]
    if code == 0:
        result.outcome = "proven"
    elif code == -signal.SIGKILL:
        result.outcome = "killed"
    elif code == 1 and hasattr(errors, kind) and has_remedy(out, headless=scene.headless):
        result.outcome = "typed error"
    else:
        result.outcome = f"untyped (exit {code})"
        result.said = out[-1500:]


def has_remedy(out: str, *, headless: bool) -> bool:
    """Whether an error came with its remedy, and with nothing that belongs to the library's authors."""
    if headless:
        return "\n  remedy: " in out and "Traceback" not in out
    return "[NO REMEDY]" not in out


def _is_false(world: World, number: int, result: Result, fault: Fault, scene: Scene) -> bool:
    """A step that was proven under a fault which it should not have borne, or whose work is not there.

    Whether the builder answers is looked at after the rerun alone: the fault may be in the way still.
    """
    registry = world.registry(scene.overrides)
    is_there = (result.step == "install_pod" and fault.takes_builder) or is_there_at_once(
        world, result.step, number, registry
    )
    return not is_there or (fault.must_fail and result.struck)
