"""Tiny steps over a folder instead of a cluster: only the machinery of the run is tested with them.

FAKE_WORLD/<step> is what apply makes; FAKE_WORLD/<step>.does says fail, hang, die, freeze, dawdle or leak.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from IPython import get_ipython

from runbook_lib.errors import ClusterError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.progress import Event
from runbook_lib.run import cells
from runbook_lib.steps.catalog import StepEntry
from runbook_lib.steps.contract import Step

WORLD = Path(os.environ.get("FAKE_WORLD", "/nonexistent"))


class Fake(Step):
    name: ClassVar[str] = "fake"
    title: ClassVar[str] = "A fake"

    @property
    def _made(self) -> Path:
        return WORLD / self.name

    def _found(self, status: Status, message: str) -> Findings:
        return Findings([Finding(status, self.name, message, remedy="make it")])

    def _check(self) -> Findings:
        return self._found(Status.OK, "the world is there")

    def _plan(self) -> Plan:
        action = Action.NONE if self._made.exists() else Action.CREATE
        return Plan([Change(action, self.name, "+ <b>made</b>", (f"touch {self.name}",))])

    def _apply(self) -> Findings:
        switch = WORLD / f"{self.name}.does"
        does = switch.read_text() if switch.exists() else ""
        self.emit(Event(self.name, f"{self.name} is at work"))
        if does == "fail":
            raise ClusterError(
                "the pod is on fire", where="pod/fake", remedy="pour water", notebook="01.ipynb"
            )
        if does == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if does == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        if does == "hang":
            subprocess.run([sys.executable, "-c", "import time; time.sleep(120)"], timeout=130)
            time.sleep(120)
        if does == "dawdle":
            _dawdle()
        if does == "leak":
            raise ValueError(f"a library says {os.environ['FAKE_TOKEN']}")
        with self._made.open("a") as file:
            file.write("applied\n")
        self.journal.fact(self.name, pushed_reference="reg/x:1", pushed_digest="sha256:" + "0" * 64)
        return self._found(Status.OK, "made")

    def _verify(self) -> Findings:
        there = self._made.exists()
        return self._found(Status.OK if there else Status.FAIL, "there" if there else "gone")


def _dawdle() -> None:
    """Let the kernel's handler of the last message be at work for half a second after its answer."""
    handlers = get_ipython().kernel.shell_handlers  # type: ignore[no-untyped-call]
    answer = handlers["kernel_info_request"]

    async def slowly(*words: object) -> None:
        await answer(*words)
        time.sleep(0.5)

    handlers["kernel_info_request"] = slowly


def fake_class(name: str) -> type[Step]:
    return type(name.title(), (Fake,), {"name": name})


def install(notebooks: Path) -> None:
    """Make the run use `notebooks` and these steps, in this process."""
    cells.NOTEBOOKS = notebooks
    StepEntry.load = lambda self: fake_class(self.name)  # type: ignore[method-assign]
