"""The control groups of containers: one hierarchy in v2, one for each controller in v1 (cgroups(7)).

The runtime makes `/k8s.io/<container>` in each. The kubelet is told to make none: instances would share it.
"""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from sandbox.console import Reporter
from sandbox.errors import PlatformError

_ROOT = Path("/sys/fs/cgroup")
_CONTAINERS = "k8s.io"
# On v2 a privileged container sees the machine's own root: its builder makes the groups of RUN steps there.
_BUILDS = "buildkit"
# A step's process is in its group at once: an older group without one is of a builder that was killed.
_SETTLED = 1.0
# The kubelet sets a weight and a high mark on every container; runc starts none where it cannot set them.
_NEEDED = frozenset({"cpu", "memory"})
_PASSED_ON = "cgroup.subtree_control"
_ASIDE = "init"
_PASSES = 10


def ensure_controllers(reporter: Reporter) -> None:
    """On v2, make the root group pass its controllers on to the containers' groups; v1 has nothing to do.

    The kernel's own root always may, and the runtime sees to it. The root that a container sees is an inner
    group: it passes nothing on while processes are in it, so they are moved into a child, as Docker in Docker
    does. Raises PlatformError where that cannot be done.
    """
    if not (_ROOT / "cgroup.controllers").exists():
        return
    available = _words("cgroup.controllers")
    if not available >= _NEEDED:
        raise _lacking(_NEEDED - available, "They are switched off, or a cgroup v1 mount holds them")
    if not (_ROOT / "cgroup.type").exists() or _words(_PASSED_ON) >= _NEEDED:
        return
    # A threaded controller such as cpu may be on in spite of processes, and then no child can take them.
    _switch("-", _words(_PASSED_ON))
    if _words("cgroup.procs"):
        reporter.line(f"moving the processes in {_ROOT} to {_ROOT / _ASIDE}: it must be empty itself")
        _step_aside()
    _switch("+", available)
    if lacking := _NEEDED - _words(_PASSED_ON):
        raise _lacking(lacking, "The container's root group does not let them through")


def _lacking(names: Iterable[str], why: str) -> PlatformError:
    return PlatformError(
        "cgroup v2 lacks controllers that every container needs",
        f"{_ROOT}: {', '.join(sorted(names))}",
        f"{why}: boot with them, or run the sandbox where they are, such as in a privileged container.",
    )


def _words(name: str) -> set[str]:
    return set((_ROOT / name).read_text().split())


def _switch(sign: str, controllers: Iterable[str]) -> None:
    """Switch controllers on or off for the children, one by one: one that fails must not keep the others."""
    for name in sorted(controllers):
        _write(_PASSED_ON, f"{sign}{name}")


def _step_aside() -> None:
    """Move every process of the root into a child; again, since they go on making new ones meanwhile."""
    with contextlib.suppress(OSError):
        (_ROOT / _ASIDE).mkdir(exist_ok=True)
    for _ in range(_PASSES):
        for pid in (pids := _words("cgroup.procs")):
            _write(f"{_ASIDE}/cgroup.procs", pid)
        if not pids:
            return


def _write(name: str, text: str) -> None:
    """Write to a file of the root, if the kernel takes it: what has come of it is looked at afterwards."""
    with contextlib.suppress(OSError):
        (_ROOT / name).write_text(text)


def groups_of(containers: Iterable[str]) -> list[Path]:
    """Every cgroup folder of the containers, deepest first, in all hierarchies."""
    return _trees(parent / name for parent in _parents() for name in containers)


def processes_in(groups: Iterable[Path]) -> set[int]:
    """The ids of the processes in these very groups."""
    pids: set[int] = set()
    for group in groups:
        with contextlib.suppress(OSError):
            pids |= {int(line) for line in (group / "cgroup.procs").read_text().split() if line != "0"}
    return pids


def remove_groups(containers: Iterable[str]) -> bool:
    """Remove the containers' groups; whether none is left."""
    containers = set(containers)
    for group in groups_of(containers):
        with contextlib.suppress(OSError):
            group.rmdir()
    return not groups_of(containers)


def remove_parents() -> None:
    """Remove what held the groups, where it is empty: other instances and runtimes share it."""
    for parent in _parents():
        with contextlib.suppress(OSError):
            parent.rmdir()


def remove_ended_builds() -> bool:
    """Remove the groups of RUN steps whose builder was killed, and what held them; whether none was too new.

    They bear no instance's name. Those of running steps stay: the kernel removes no group with processes.
    """
    top = _ROOT / _BUILDS
    settled = True
    for group in (path for path in _trees([top]) if path != top):
        with contextlib.suppress(OSError):
            if time.time() - group.stat().st_mtime > _SETTLED:
                group.rmdir()
            else:
                settled = False
    with contextlib.suppress(OSError):
        top.rmdir()
    return settled


def _trees(tops: Iterable[Path]) -> list[Path]:
    """Those of `tops` that are there and all groups below them, deepest first."""
    found: set[Path] = set()
    for top in tops:
        if top.is_dir():
            found |= {top, *(path for path in top.rglob("*") if path.is_dir())}
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _parents() -> list[Path]:
    """Where the runtime puts containers: below the one hierarchy (v2), and below each (v1)."""
    hierarchies = [_ROOT, *(path for path in _ROOT.iterdir() if path.is_dir())]
    return [base / _CONTAINERS for base in hierarchies]
