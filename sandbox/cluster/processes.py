"""The instance's daemons: started in a session of their own, found again by marks in their environment.

A process carries the instance's folder, its component's name and a fingerprint of its configuration in its
environment, which shims inherit and containers do not. So nothing depends on a pid file: a command killed
between starting a daemon and writing a file leaves no stray, and a recycled pid is never taken for ours
(psutil compares the start time before each signal).
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from sandbox.errors import ProcessError

_ROOT, _COMPONENT, _FINGERPRINT = "SANDBOX_INSTANCE_ROOT", "SANDBOX_COMPONENT", "SANDBOX_FINGERPRINT"
_LOG_LIMIT, _LOG_KEPT = 8 * 1024**2, 1024**2
_SHIM = "containerd-shim"


@dataclass(frozen=True)
class Command:
    """How a component is started. `fingerprint` stands for everything that would need a restart."""

    component: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    fingerprint: str
    log: Path


@dataclass(frozen=True)
class Daemon:
    """A running process of the instance; `is_shim` for the runtime's helper of one pod."""

    component: str
    fingerprint: str
    process: psutil.Process
    is_shim: bool


def start(root: Path, command: Command) -> psutil.Process:
    """Start a daemon that outlives this process. Raises ProcessError when its program cannot be run."""
    bound_log(command.log)
    marks = {_ROOT: str(root), _COMPONENT: command.component, _FINGERPRINT: command.fingerprint}
    try:
        with command.log.open("ab") as log:
            # Not waited for: it is a daemon, and the session keeps terminal signals away from it.
            process = subprocess.Popen(
                command.arguments,
                env={**command.environment, **marks},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise ProcessError(
            f"{command.component} cannot be started ({error.strerror})",
            command.arguments[0],
            "Run `python -m sandbox.build --verify`.",
        ) from error
    # Popen would warn at interpreter exit about a child it did not wait for.
    process.returncode = 0
    return psutil.Process(process.pid)


def bound_log(log: Path) -> None:
    """Cut a log that has grown beyond 8 MiB to its last MiB."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        with log.open("r+b") as stream:
            stream.seek(-_LOG_KEPT, os.SEEK_END)
            kept = stream.read()
            stream.seek(0)
            stream.write(kept)
            stream.truncate()


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, or a note that there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16384))
            text = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n    ".join(text[-lines:]) or "(empty log)"


def find_daemons(root: Path) -> list[Daemon]:
    """Every living process of the instance at `root`, zombies left out."""
    return [daemon for process in psutil.process_iter() if (daemon := _daemon_of(process, root))]


def _daemon_of(process: psutil.Process, root: Path) -> Daemon | None:
    mark = os.fsencode(f"{_ROOT}={root}\0")
    try:
        raw = Path(f"/proc/{process.pid}/environ").read_bytes()
        if mark not in raw or process.status() == psutil.STATUS_ZOMBIE:
            return None
        values = dict(
            item.split("=", 1) for item in raw.decode("utf-8", "replace").split("\0") if "=" in item
        )
        # The name in /proc/<pid>/comm is cut to 15 characters.
        is_shim = process.name().startswith(_SHIM[:15])
    except (OSError, psutil.Error):
        return None
    return Daemon(values.get(_COMPONENT, ""), values.get(_FINGERPRINT, ""), process, is_shim)


def is_alive(process: psutil.Process) -> bool:
    """Whether the very process still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def send(process: psutil.Process, number: int) -> None:
    """Signal a process if it is still the one that was found."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def end(processes: Iterable[psutil.Process], grace: float) -> list[psutil.Process]:
    """SIGTERM, then SIGKILL after `grace` seconds; returns those that live even after two seconds more."""
    living = [process for process in processes if is_alive(process)]
    for process in living:
        send(process, signal.SIGTERM)
    living = _wait(living, grace)
    for process in living:
        send(process, signal.SIGKILL)
    return _wait(living, 2.0)


def kill(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """SIGKILL at once; returns those that live even after two seconds."""
    living = list(processes)
    for process in living:
        send(process, signal.SIGKILL)
    return _wait(living, 2.0)


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while processes := [process for process in processes if is_alive(process)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    return processes
