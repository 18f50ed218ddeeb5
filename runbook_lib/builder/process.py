"""Running buildctl and kubectl: argument lists, bounded, ended together with what they started."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from runbook_lib.errors import BinaryError
from runbook_lib.redaction import redact

GRACE = 5.0  # seconds between the polite request to end and the kill
DRAIN = 2.0  # seconds in which an ended program's streams are read on: what it started may hold them open
_TICK = 0.5
_LOOK = 1.0  # seconds between two looks at who belongs to a program
_LONGEST_LINE = 4 << 20
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
    family = Family(process)
    try:
        out, err = _spoken(process, family, timeout)
    except subprocess.TimeoutExpired as e:
        raise BinaryError(
            f"`{_shown(argv)}` has not answered in {timeout:g} s",
            where=str(argv[0]),
            remedy="check the route to the cluster, or raise request_timeout",
        ) from e
    finally:
        if process.poll() is None:
            family.end(grace=0)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Completed(
        process.returncode, out or b"", redact((err or b"")[-_MOST_STDERR:].decode(errors="replace"))
    )


def lines(process: subprocess.Popen[bytes], stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a stream as they come, b"" after half a second without any; they end with the program.

    The end of the stream is not waited for: what the program has started may hold it open for ever.
    """
    rest = b""
    ended: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while ended is None or time.monotonic() - ended < DRAIN:
            if ended is None and process.poll() is not None:
                ended = time.monotonic()
            if not selector.select(_TICK):
                if ended is not None:
                    break  # what it had written was there to be read
                yield b""
                continue
            if not (chunk := os.read(stream.fileno(), 1 << 16)):
                break
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in whole)
            if len(rest) > _LONGEST_LINE:
                yield rest
                rest = b""
    if rest:
        yield rest


class Family:
    """A program and everything below it, noted as long as it lives: orphans cannot be found through it.

    buildctl starts kubectl in yet another session, so a signal to the process group would miss it.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._noted: set[psutil.Process] = set()
        self._looked = 0.0

    def note(self, every: float = _LOOK) -> None:
        """Look who is there, unless that was done less than `every` seconds ago."""
        if self._process.returncode is not None or time.monotonic() - self._looked < every:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(self._process.pid)
            self._noted |= {head, *head.children(recursive=True)}

    def end(self, grace: float = GRACE) -> None:
        """End all of them: SIGTERM, `grace` seconds, then SIGKILL. Those of its session go too."""
        self._process.poll()
        self.note(every=0)
        family = [p for p in self._noted | set(_session(self._process)) if p.is_running()]
        deadline = time.monotonic() + grace
        if grace > 0:
            _signal(family, kill=False)
        _, alive = psutil.wait_procs(family, timeout=max(0.0, deadline - time.monotonic()))
        _signal(alive, kill=True)
        psutil.wait_procs(alive, timeout=GRACE)
        self._process.poll()


def _session(process: subprocess.Popen[bytes]) -> Iterator[psutil.Process]:
    """Who is in the session that `start` made for the program, which may have ended."""
    if process.returncode is not None and psutil.pid_exists(process.pid):
        return  # a stranger has the number by now, so nobody of that session is left
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.getsid(pid) == process.pid:
                yield psutil.Process(pid)


def _spoken(process: subprocess.Popen[bytes], family: Family, timeout: float) -> tuple[bytes, bytes]:
    """Standard output and error of a program that ends in time.

    Raises:
        subprocess.TimeoutExpired: it does not.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(_TICK, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            family.note()
            if process.poll() is not None:
                break
            if time.monotonic() >= deadline:
                raise
    try:
        return process.communicate(timeout=DRAIN)
    except subprocess.TimeoutExpired as e:
        family.end(grace=0)
        return e.output or b"", e.stderr or b""


def _signal(family: Sequence[psutil.Process], *, kill: bool) -> None:
    for member in family:
        try:
            member.kill() if kill else member.terminate()
        except psutil.NoSuchProcess:
            continue


def _shown(argv: Sequence[str]) -> str:
    return redact(" ".join([Path(argv[0]).name, *argv[1:]]))[:200]
