"""One step as its notebook runs it, without a kernel.

one_step.py STEP PARAMETERS.json runs it once. The last line printed is what the step's error says; exit code
0 proven, 1 a typed error, 3 anything else.

one_step.py --serve reads orders from standard input, a JSON object a line: {"step", "parameters", "output",
"environment"}. Each is run in a fork of this process, which has all modules loaded and has never started a
thread. Two lines answer each order: {"pid"} at once, {"code"} (negative: the signal) at the end.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from kubernetes import client
from misbehaviour import DEFECT, misbehave

from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.settings_sources import validate
from runbook_lib.steps.catalog import CATALOG, entry_of
from runbook_lib.steps.contract import run_dir_of


def carry_out(name: str, parameters: Path) -> int:
    """All four verbs of a step."""
    try:
        settings = validate(json.loads(parameters.read_text()))
        step = entry_of(name).load()(settings, Journal(run_dir_of(settings)), silent_sink)
        if DEFECT in os.environ:
            return misbehave(os.environ[DEFECT], step)
        step.check().require("check")
        step.plan()
        step.apply().require("apply")
        step.verify().require("verify")
    except RunbookError as e:
        said = " ".join(e.what.split())
        print(f"{type(e).__name__}: {said}" + ("" if e.remedy else " [NO REMEDY]"))
        return 1
    except Exception as e:  # noqa: BLE001  what must never come out: it is counted as a defect
        traceback.print_exc()
        print(f"UNTYPED {type(e).__name__}: {e}")
        return 3
    return 0


def sleep_by_select(seconds: float) -> None:
    """In place of time.sleep: libfaketime's clock_nanosleep refuses some moments of the monotonic clock."""
    select.select([], [], [], seconds)


def leave(code: int) -> None:
    """End as runbook_lib/__main__.py does where a thread hangs."""
    sys.stdout.flush()
    os._exit(code)


def serve() -> None:
    """Run one order after the other until standard input ends."""
    for entry in CATALOG.values():
        entry.load()
    _ = client.CoreV1Api, client.VersionApi  # imported late, which takes a second
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_step(order)
        print(json.dumps({"pid": pid}), flush=True)
        print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)


def _be_the_step(order: dict[str, Any]) -> None:
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, descriptor in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(descriptor, number)
    os.environ |= order["environment"]
    leave(carry_out(order["step"], Path(order["parameters"])))


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve()
    else:
        if "FAKETIME" in os.environ:
            time.sleep = sleep_by_select
        leave(carry_out(sys.argv[1], Path(sys.argv[2])))
