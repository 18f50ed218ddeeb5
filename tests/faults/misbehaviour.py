"""A step that does what no step may do, so that the harness can be seen to notice."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from runbook_lib.settings import Settings
from runbook_lib.steps.contract import Step

DEFECT = "FAULTS_DEFECT"  # a variable that names one


def misbehave(defect: str, step: Step) -> int:
    """Do it in place of the step; the exit code to leave with."""
    step.journal.write(step.name, "check", "started")
    time.sleep(1)  # the strike comes now
    work = _WORK[defect]
    return work(step.settings)


def _lie(_settings: Settings) -> int:
    return 0


def _leak(settings: Settings) -> int:
    print(f"ClusterError: refused: {Path(settings.registry_credential.removeprefix('file:')).read_text()}")
    return 1


def _hang(_settings: Settings) -> int:
    time.sleep(600)
    return 0


def _orphan(_settings: Settings) -> int:
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    print("ClusterError: gone")
    return 1


def _litter(settings: Settings) -> int:
    folder = Path(settings.docker_config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".config.json.tmp.1").write_text("{}")
    print("ClusterError: gone")
    return 1


def _untyped(_settings: Settings) -> int:
    raise KeyError("status")


def _give_up(_settings: Settings) -> int:
    print("ClusterError: I give up at once")
    return 1


_WORK = {
    "lies": _lie, "gives up": _give_up, "leaks": _leak, "hangs": _hang, "leaves a process": _orphan,
    "leaves a file": _litter, "raises anything": _untyped,
}  # fmt: skip
