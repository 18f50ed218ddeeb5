"""What does the runbook add to papermill: a whole warm run against four empty notebooks run by papermill."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from measuring import environment, report, seconds

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
STEPS = 4


def main() -> None:
    env = environment()
    with tempfile.TemporaryDirectory() as folder:
        env["RUNBOOK_RUN_DIR"] = folder
        empty = Path(folder) / "empty.ipynb"
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("")])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, empty)

        def call(*words: str) -> None:
            subprocess.run(
                [sys.executable, "-m", *words], env=env, check=True, capture_output=True, timeout=300
            )

        def four_empty() -> None:
            for _ in range(STEPS):
                call("papermill", str(empty), str(empty.with_name("out.ipynb")), "--no-progress-bar")

        first = seconds(lambda: call("runbook_lib", "run"))
        pairs = [(seconds(four_empty), seconds(lambda: call("runbook_lib", "run"))) for _ in range(ROUNDS)]
    papermill, ours = zip(*pairs, strict=True)
    print(f"the first run on this instance took {first:.2f} s")
    report("a whole run", ("four empty papermill runs", papermill), ("run, everything in place", ours))


if __name__ == "__main__":
    main()
