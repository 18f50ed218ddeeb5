"""Temporary folders that outlive no process for long: what a killed one left is removed by the next."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "buildkit-runbook-"
_LOCK = ".lock"
_MAKING = ".lock.new"
_YOUNG = 60.0  # seconds in which a folder without a lock may still be one that is being made


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of mode 0700 in the system's place for temporary files, removed at the end.

    Its lock tells that its maker lives: the system drops it when the process dies, however it dies.

    Raises:
        OSError: it cannot be made.
    """
    sweep()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with FileLock(folder / _MAKING):
            # Under its name it is never seen unlocked, but by one who may take the folder away.
            (folder / _MAKING).rename(folder / _LOCK)
            yield folder


def sweep() -> None:
    """Remove the folders whose makers are dead; those of others, and those that cannot be read, stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            lock = folder / _LOCK
            if not lock.exists() and time.time() - folder.stat().st_mtime < _YOUNG:
                continue
            with FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
