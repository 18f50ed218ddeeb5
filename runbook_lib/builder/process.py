"""Running buildctl and kubectl: argument lists, bounded, ended together with what they started."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from runbook_lib.errors import BinaryError
from runbook_lib.redaction import redact

GRACE = 5.0  # seconds between the polite request to end and the kill
_MOST_STDERR = 20_000


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended: exit code, raw standard output (empty where it went to a file), error text."""

    code: int
    stdout: bytes
    stderr: str


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, without standard input.

    Raises:
        BinaryError: it is missing, not executable, or not for this machine.
    """
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as e:
        raise BinaryError(
            f"it cannot be started: {e.strerror}",
            where=str(argv[0]),
            remedy="run notebook 03 again; it fetches a binary for this machine and checks it",
            notebook="03_fetch_buildctl.ipynb",
        ) from e


def run(
    argv: Sequence[str], env: Mapping[str, str], timeout: float, stdout: IO[bytes] | None = None
) -> Completed:
    """Run a program to its end and return how it ended; a non-zero exit code is not an error here.

    Raises:
        BinaryError: it cannot be started, or has not ended after `timeout` seconds (it is killed then).
    """
    process = start(argv, env, stdout=subprocess.PIPE if stdout is None else stdout)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as e:
        raise BinaryError(
            f"`{_shown(argv)}` has not answered in {timeout:g} s",
            where=str(argv[0]),
            remedy="check the route to the cluster, or raise request_timeout",
        ) from e
    finally:
        if process.poll() is None:
            end(process, grace=0)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Completed(
        process.returncode, out or b"", redact((err or b"")[-_MOST_STDERR:].decode(errors="replace"))
    )


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """End a program and everything below it: SIGTERM, `grace` seconds, then SIGKILL.

    buildctl starts kubectl in yet another session, so a signal to the process group would miss it:
    the tree is listed first and every member is ended.
    """
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    deadline = time.monotonic() + grace
    if grace > 0:
        _signal(family, kill=False)
    _, alive = psutil.wait_procs(family, timeout=max(0.0, deadline - time.monotonic()))
    _signal(alive, kill=True)
    psutil.wait_procs(alive, timeout=GRACE)
    process.poll()


def _signal(family: Sequence[psutil.Process], *, kill: bool) -> None:
    for member in family:
        try:
            member.kill() if kill else member.terminate()
        except psutil.NoSuchProcess:
            continue


def _shown(argv: Sequence[str]) -> str:
    return redact(" ".join([Path(argv[0]).name, *argv[1:]]))[:200]
