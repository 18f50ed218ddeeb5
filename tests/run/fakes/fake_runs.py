"""Starts runs over the fake steps: real papermill, real kernels, no cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil

from runbook_lib import scratch
from runbook_lib.run import processes
from runbook_lib.run.cells import parameters_source

FAKES = Path(__file__).parent
TOKEN = "s3cret-token-value"


@dataclass
class FakeRuns:
    """`world` is what the steps change; `base` holds the run folders."""

    world: Path
    base: Path
    notebooks: Path

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
        more = {"FAKE_WORLD": str(self.world), "FAKE_TOKEN": TOKEN, "PYTHONPATH": str(FAKES)}
        self.temporary.mkdir(exist_ok=True)
        return {**kept, **more, "RUNBOOK_RUN_DIR": str(self.base), "TMPDIR": str(self.temporary)}

    @property
    def temporary(self) -> Path:
        """Where the runs put temporary files; the paths of sockets in it may not be long."""
        return Path("/tmp") / f"fakes-{self.world.parent.name[-20:]}-{os.getpid()}"

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(FAKES / "drive.py"), str(self.notebooks), *words],
            env=self.environ,
            cwd=self.world,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start("run", *words) as process:
            out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def does(self, step: str, what: str) -> None:
        path = self.world / f"{step}.does"
        path.write_text(what) if what else path.unlink(missing_ok=True)

    def applied(self, step: str) -> int:
        path = self.world / step
        return len(path.read_text().splitlines()) if path.exists() else 0

    def newest(self) -> Path:
        return max(p.parent for p in self.base.glob("*/run.json"))

    def kernel_files(self) -> list[Path]:
        """The connection files and sockets of kernels."""
        return list(self.temporary.glob(f"{scratch.PREFIX}*/kernel*"))

    def left_over(self) -> list[psutil.Process]:
        return [p for folder in self.base.glob("*") for p in processes.processes_of(folder)]


def book(name: str) -> nbformat.NotebookNode:
    parameters = nbformat.v4.new_code_cell(parameters_source(name))
    parameters.metadata["tags"] = ["parameters"]
    load = (
        "from pathlib import Path\nimport fake_world\nfake_world.install(Path('.'))\n"
        "from runbook_lib.notebook import open_step, show\n"
        f'step = open_step("{name}", globals())'
    )
    verbs = ["step.check().require('c')", "step.plan()", "step.apply()", "show(step.verify()).require('v')"]
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells = [parameters, *(nbformat.v4.new_code_cell(s) for s in (load, *verbs))]
    return book
