"""Kernels never outlive their run: every process of a run carries a mark in its environment.

papermill ends on SIGTERM without ending its kernel (papermill issue 508), and a kernel that dies leaves
its own children (kubectl, buildctl) behind. The mark is inherited by all of them, so they can be found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from runbook_lib import marks, scratch
from runbook_lib.run.folder import RunFolder
from runbook_lib.settings_sources import PREFIX

MARK = "BUILDKIT_RUNBOOK_RUN"  # not RUNBOOK_…: those are parameters
_GRACE = 2.0


def kernel_environment(run_dir: Path) -> dict[str, str]:
    """The environment of a kernel: ours, marked, and without RUNBOOK_ variables.

    A headless notebook takes its parameters from its cell alone, so that the executed notebook says
    everything that the run depended on.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return {**kept, MARK: str(run_dir)}


def processes_of(run_dir: Path) -> list[psutil.Process]:
    """The living processes that carry the mark of this run."""
    return [process for process, mark in _marked() if mark == str(run_dir)]


def end_processes(run_dir: Path, *, grace: float = _GRACE) -> int:
    """End every process of the run, first by SIGTERM, after `grace` seconds by SIGKILL; how many."""
    return marks.end(lambda: processes_of(run_dir), grace)


def sweep_orphans() -> list[str]:
    """End the processes of runs that nobody is at any more; returns the folders of those runs.

    Also removes the temporary folders of dead processes.
    """
    folders = {mark for _, mark in _marked()}
    orphaned = [f for f in sorted(folders) if not (Path(f).is_dir() and RunFolder(Path(f)).is_held)]
    for folder in orphaned:
        end_processes(Path(folder))
    scratch.sweep()
    return orphaned


def _marked() -> Iterator[tuple[psutil.Process, str]]:
    """Other processes with the mark of a run, and the run's folder.

    Those of another mount namespace, such as a container's, are left out: their mark names a folder there,
    and whether somebody is at that run cannot be seen from here.
    """
    ours = _mount_namespace("self")
    return ((p, mark) for p, mark in marks.marked(MARK) if _mount_namespace(p.pid) == ours)


def _mount_namespace(pid: int | str) -> str:
    """Empty where there is no /proc (not Linux), and for a process that ended or is another user's."""
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except OSError:
        return ""
