"""Programs of this project that the page starts as processes: the sandbox, and the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook_lib.credentials import environment_for_children
from runbook_lib.errors import RunError, StepCancelledError
from runbook_lib.redaction import redact
from runbook_lib.settings_sources import PREFIX, from_environment
from runbook_lib.steps.contract import REPOSITORY_ROOT

REPORT = "report.html"  # what `write_report` writes in the run folder
_QUICK = 60.0  # seconds; `up` has no limit of its own here: a first build takes long, and can be cancelled


def default_instance() -> str:
    """The sandbox instance that the page uses where none is named."""
    return os.environ.get("SANDBOX_INSTANCE", "default")


def sandbox_up(
    instance: str, say: Callable[[str], None], on_cancel: Callable[[Callable[[], None] | None], None]
) -> None:
    """Bring the sandbox up, line by line.

    Raises:
        RunError: it did not come up; its last lines are in the error. StepCancelledError: cancelled.
    """
    command = _module("sandbox", "up", "--instance", instance)
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY_ROOT,
        env=environment_for_children(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ended_by_us: list[bool] = []

    def end() -> None:
        ended_by_us.append(True)
        process.terminate()

    on_cancel(end)
    lines: list[str] = []
    with process:
        for line in process.stdout or ():
            lines.append(redact(line.rstrip()))
            say(lines[-1])
    on_cancel(None)
    if ended_by_us:
        raise StepCancelledError("it was cancelled", where="sandbox", remedy="start it again")
    if process.returncode:
        raise RunError(
            " ".join(lines[-3:]) or "it said nothing",
            where="sandbox",
            remedy=f"look at it: python -m sandbox status --instance {instance}",
        )


def sandbox_values(instance: str) -> dict[str, Any]:
    """The parameters that lead to the sandbox, by name.

    Raises:
        RunError: the instance has never been up.
    """
    command = _module("sandbox", "env", "--json", "--prefix", PREFIX, "--instance", instance)
    found = json.loads(_output(command))
    return from_environment({k: v for k, v in found.items() if k.startswith(PREFIX)})


def write_report(run_dir: Path) -> Path:
    """Write the HTML report of a run folder and return its path.

    Raises:
        RunError: it could not be written.
    """
    return Path(_output(_module("runbook_lib", "report", "--of-run", str(run_dir))).strip())


def _module(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY_ROOT,
            env=environment_for_children(),  # the page's parameters are handed over as arguments
            capture_output=True,
            text=True,
            timeout=_QUICK,
            check=True,
        )
    except subprocess.CalledProcessError as e:
        said = redact(str(e.stderr).strip())[-400:]
        raise RunError(said or f"exit code {e.returncode}", where=" ".join(command[2:4])) from e
    except subprocess.TimeoutExpired as e:
        raise RunError(f"no answer in {_QUICK:.0f} s", where=" ".join(command[2:4])) from e
    return done.stdout
