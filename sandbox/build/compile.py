"""Building one tool with `go build`."""

import os
import subprocess
from pathlib import Path

import psutil

from sandbox.build.golang import GoToolchain, architecture
from sandbox.build.tools import Tool
from sandbox.console import Reporter, Task
from sandbox.errors import BuildError
from sandbox.paths import MODULES

# Go's collector takes a third of a big build's time; with this much memory free it can be nearly silent.
_ROOMY = 6 * 1024**3
_TAIL = 20


def compile_tool(tool: Tool, go: GoToolchain, target: Path, reporter: Reporter) -> None:
    """Build every program of `tool` into the folder `target`. Raises BuildError with Go's last words."""
    environment = build_environment(tool, psutil.virtual_memory().available)
    title = f"building {tool.name} {tool.version} (usually {_usually(tool.usual_seconds)} when cold)"
    with reporter.task(title) as task:
        total = _package_count(tool, go, environment)
        for name, package in tool.programs.items():
            command = [str(go.program), "build", "-v", *tool.build_flags(), "-o", str(target / name), package]
            _run(command, tool, environment, task, total)


def build_environment(tool: Tool, memory_available: int) -> dict[str, str]:
    """The variables for `go build`; `memory_available` in bytes decides how lazy Go's collector may be."""
    environment = {key: value for key, value in os.environ.items() if key not in {"GOFLAGS", "GOBIN", "GOOS"}}
    environment |= {"CGO_ENABLED": "1" if tool.cgo else "0", "GOARCH": architecture(), "GOWORK": "off"}
    environment |= {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    if memory_available >= _ROOMY:
        environment["GOGC"] = "800"
    return environment


def _usually(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _package_count(tool: Tool, go: GoToolchain, environment: dict[str, str]) -> int | None:
    """How many packages the build may have to compile; None when Go cannot say."""
    command = [str(go.program), "list", "-deps", *(("-tags", ",".join(tool.tags)) if tool.tags else ())]
    try:
        done = subprocess.run(
            [*command, *tool.programs.values()],
            cwd=MODULES / tool.name,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
    except subprocess.SubprocessError:
        return None
    return len(done.stdout.splitlines())


def _run(command: list[str], tool: Tool, environment: dict[str, str], task: Task, total: int | None) -> None:
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=MODULES / tool.name,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for line in process.stderr or ():
                lines.append(line.rstrip())
                task.update(len(lines), total, lines[-1][:60])
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        tail = "\n    ".join(lines[-_TAIL:])
        raise BuildError(
            f"go build of {tool.name} failed ({process.returncode})",
            f"sandbox/go/{tool.name}\n    {tail}",
            "Check the way to the Go module proxy (GOPROXY) and the free disk space, then run it again.",
        )
