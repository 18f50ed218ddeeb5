"""Starts steps as processes: forks of a loaded one, or fresh ones that need an environment at their exec."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

_SCRIPT = str(Path(__file__).with_name("one_step.py"))


class Running(Protocol):
    """A step at work. `wait` raises subprocess.TimeoutExpired."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def kill(self) -> None: ...


class Runner:
    """One loaded process that forks a step at a time. `close` ends it."""

    def __init__(self) -> None:
        self._served: subprocess.Popen[str] | None = None

    def start(self, step: str, parameters: Path, output: Path, environment: dict[str, str]) -> Running:
        """A fork of the loaded process; `environment` is laid over its own."""
        order = {"step": step, "parameters": str(parameters), "output": str(output)}
        served = self._loaded()
        assert served.stdin is not None
        served.stdin.write(json.dumps({**order, "environment": environment}) + "\n")
        served.stdin.flush()
        return _Fork(served)

    def start_fresh(self, step: str, parameters: Path, output: Path, environment: dict[str, str]) -> Running:
        """A process of its own, which has `environment` from its beginning (such as LD_PRELOAD)."""
        with output.open("w") as out:
            return subprocess.Popen(
                [sys.executable, _SCRIPT, step, str(parameters)],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def close(self) -> None:
        """End the loaded process; a step that still runs ends with its pipe."""
        if self._served is not None:
            with self._served as served:
                served.kill()
            self._served = None

    def _loaded(self) -> subprocess.Popen[str]:
        if self._served is None or self._served.poll() is not None:
            self._served = subprocess.Popen(
                [sys.executable, _SCRIPT, "--serve"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        return self._served


class _Fork:
    """A child of the loaded process, which waits for it and tells its exit code."""

    def __init__(self, served: subprocess.Popen[str]) -> None:
        assert served.stdout is not None
        self._answers = served.stdout
        self._code: int | None = None
        self.pid = int(json.loads(self._answers.readline())["pid"])

    def poll(self) -> int | None:
        self._look(0)
        return self._code

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self._code is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("one_step", timeout)
            self._look(left)
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _look(self, seconds: float) -> None:
        # One answer is under way at most, so that none can lie unseen in the reader's buffer.
        if self._code is None and select.select([self._answers], [], [], seconds)[0]:
            self._code = int(json.loads(self._answers.readline())["code"])
