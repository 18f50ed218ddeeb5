"""What the benches share: the sandbox's environment, kubectl, and how a comparison is printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

INSTANCE = os.environ.get("SANDBOX_BENCH_INSTANCE", "bench")


def sandbox(*words: str) -> str:
    """Run `python -m sandbox` on the bench's own instance; its standard output."""
    command = [sys.executable, "-m", "sandbox", *words, "--instance", INSTANCE]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=3600).stdout


def environment() -> dict[str, str]:
    """The instance, brought up, as RUNBOOK_ variables over this process's environment."""
    sandbox("up", "--json")
    return {**os.environ, **json.loads(sandbox("env", "--prefix", "RUNBOOK_", "--json"))}


def kubectl(env: dict[str, str], *words: str, stdin: str | None = None) -> str:
    """Run the sandbox's kubectl."""
    command = [env["RUNBOOK_KUBECTL"], f"--kubeconfig={env['RUNBOOK_KUBECONFIG']}", *words]
    return subprocess.run(
        command, check=True, text=True, input=stdin, stdout=subprocess.PIPE, timeout=300
    ).stdout


@contextmanager
def namespace(env: dict[str, str], name: str) -> Iterator[str]:
    """A namespace for the length of the block."""
    kubectl(env, "create", "namespace", name)
    try:
        yield name
    finally:
        kubectl(env, "delete", "namespace", name, "--wait=false")


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes, wall clock."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def report(question: str, peer: tuple[str, Sequence[float]], ours: tuple[str, Sequence[float]]) -> None:
    """Print both medians with their ranges in seconds, and ours as a share of the peer's."""
    print(question)
    medians = []
    for name, values in (peer, ours):
        medians.append(statistics.median(values))
        spread = f"{min(values):.2f}–{max(values):.2f}"
        print(f"  {name:<48} {medians[-1]:7.2f} s  ({spread}, n={len(values)})")
    print(f"  ratio ours : peer {medians[1] / medians[0]:.2f}")
