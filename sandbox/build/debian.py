"""System packages: named first, then installed by apt-get when it is there and the user is root."""

import os
import shutil
import subprocess
from collections.abc import Iterable

from sandbox.console import Reporter
from sandbox.errors import MissingPackagesError
from sandbox.locks import hold
from sandbox.paths import cache_root

_TIMEOUT = 300.0
_FOREIGN_LOCK = "DPkg::Lock::Timeout=120"  # seconds that apt-get waits for others who install packages


def missing(packages: Iterable[str]) -> tuple[str, ...]:
    """Those of the Debian packages that dpkg does not report as installed; all, where there is no dpkg."""
    return tuple(name for name in packages if not _installed(name))


def _installed(package: str) -> bool:
    try:
        answer = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except FileNotFoundError:
        return False
    return answer.returncode == 0 and answer.stdout == "installed"


def ensure_packages(packages: Iterable[str], purpose: str, reporter: Reporter) -> None:
    """Install what is missing.

    Raises MissingPackagesError that lists them when that cannot be done, BusyError where another command of
    the sandbox is at it for too long.
    """
    absent = missing(packages)
    if not absent:
        return
    names = " ".join(absent)
    reporter.line(f"{purpose}: needs the Debian packages {names}")
    if shutil.which("apt-get") is None:
        remedy = f"There is no apt-get here: install what your system calls {names}, on PATH or in /usr."
        raise MissingPackagesError("system packages are missing", names, remedy)
    if os.geteuid() != 0:
        raise MissingPackagesError("system packages are missing", names, f"Run: sudo apt-get install {names}")
    # apt-get refuses to run twice, and two instances may come up at once on a fresh machine.
    with hold(cache_root() / "apt-get.lock", "the system's packages", 2 * _TIMEOUT, reporter):
        absent = missing(absent)
        if absent:
            with reporter.task(f"installing {' '.join(absent)} with apt-get"):
                _apt("update", "-qq")
                _apt("install", "-y", "-qq", "--no-install-recommends", "-o", _FOREIGN_LOCK, *absent)
    still = missing(absent)
    if still:
        raise MissingPackagesError("apt-get left packages out", " ".join(still), "Install them by hand.")


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise MissingPackagesError(
            "apt-get did not end", f"{' '.join(command)} ({_TIMEOUT:.0f} s)", "Check the package mirror."
        ) from None
    if done.returncode != 0:
        raise MissingPackagesError(
            "apt-get failed", f"{' '.join(command)}: {done.stderr.strip()[-500:]}", "Install them by hand."
        )
