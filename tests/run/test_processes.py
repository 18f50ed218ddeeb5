"""Whose processes a sweep may end: those of runs that nobody is at, as far as their folders can be seen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runbook_lib.run import processes
from runbook_lib.run.processes import end_processes, sweep_orphans

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
MARK = "BUILDKIT_RUNBOOK_RUN_OF_A_TEST"  # other runs of this machine sweep, too
# A run as in a container: its folder lies in a file system that only its own mount namespace has.
INSIDE = """
mount -t tmpfs tmpfs "$1" && mkdir "$1/run" && touch "$1/run/ready" && exec sleep 60
"""


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MARK", MARK)


@pytest.fixture
def contained(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "runs"
    folder.mkdir()
    command = ["unshare", "--mount", "sh", "-c", INSIDE, "sh", str(folder)]
    with subprocess.Popen(command, env={**os.environ, MARK: str(folder / "run")}) as process:
        inside = Path(f"/proc/{process.pid}/root{folder}/run/ready")
        for _ in range(100):
            if inside.exists():
                break
            time.sleep(0.05)
        assert inside.exists()
        assert not (folder / "run").exists()
        try:
            yield process
        finally:
            process.kill()


def only(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the sweep away from other tests' runs."""
    seen = [psutil.Process(pid)]
    monkeypatch.setattr(psutil, "process_iter", lambda: seen)


def test_a_run_in_a_container_is_nobodys_orphan(
    contained: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(contained.pid, monkeypatch)
    folder = tmp_path / "runs" / "run"
    assert str(folder) not in sweep_orphans()
    assert end_processes(folder) == 0
    assert contained.poll() is None


def test_an_orphan_of_this_machine_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeping, env={**os.environ, MARK: str(tmp_path)}) as process:
        only(process.pid, monkeypatch)
        for _ in range(100):  # Popen returns while the kernel still lays the environment out
            if MARK in psutil.Process(process.pid).environ():
                break
            time.sleep(0.05)
        try:
            assert str(tmp_path) in sweep_orphans()
            process.wait(5)
        finally:
            process.kill()
