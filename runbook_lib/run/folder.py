"""The folder of one run: its parameters, its lock, its journal, its notebooks and its report.

runs/20260131T101500Z/run.json          parameters (references only), steps, versions
                      journal.jsonl     what every step found
                      01_install_pod.ipynb …  the executed notebooks
                      report.html
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from runbook_lib.errors import ResumeError, RunError
from runbook_lib.journal import Journal
from runbook_lib.run.files import absolute, write_atomically
from runbook_lib.settings import Settings
from runbook_lib.steps.contract import REPOSITORY_ROOT

MANIFEST = "run.json"
REPORT = "report.html"
_LOCK = ".lock"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_WRITTEN = {"started", "steps", "parameters", "versions"}  # in each run.json
_PACKAGES = ("buildkit-runbook", "papermill", "nbclient", "ipykernel", "kubernetes")


def runs_dir(settings: Settings) -> Path:
    """Where headless runs are kept: the parameter `run_dir`, else `runs/` of the repository.

    Raises:
        RunError: the parameter names no path (such as the home of a user that does not exist).
    """
    return absolute(settings.run_dir) if settings.run_dir else REPOSITORY_ROOT / "runs"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run on disk. `path` is absolute."""

    path: Path

    @property
    def journal(self) -> Journal:
        """The journal that the run and its kernels append to."""
        return Journal(self.path)

    @classmethod
    def create(cls, base: Path, settings: Settings, steps: tuple[str, ...]) -> RunFolder:
        """Make a new folder named after the present UTC time and write its `run.json`.

        The oldest runs beyond the parameter `keep_runs` are removed, other than those that are going on. What
        is not named and written as a run is somebody else's, and is not counted either.

        Raises:
            RunError: the folder cannot be made.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            base.mkdir(parents=True, exist_ok=True)
            path = next(p for p in _candidates(base / stamp) if _made(p))
            folder = cls(path)
            folder._write(settings, steps)
            _prune(base, settings.keep_runs, path)
        except OSError as e:
            raise RunError(
                f"cannot make the run folder: {e.strerror}",
                where=str(base),
                remedy="give a writable folder in the parameter run_dir",
            ) from e
        return folder

    @classmethod
    def find(cls, base: Path, name: str = "") -> RunFolder:
        """The run called `name` (a name below `base`, or a path), or the newest one.

        Raises:
            ResumeError: there is none; RunError: see `absolute`.
        """
        if name:
            for path in (base / name, absolute(name)):
                with contextlib.suppress(OSError):  # a name too long, a folder that is another user's
                    if (path / MANIFEST).is_file():
                        return cls(path.resolve())
            raise ResumeError("there is no such run", where=str(base / name), remedy=_listing(base))
        found = _known_runs(base)
        if not found:
            raise ResumeError("there is no run to go on with", where=str(base), remedy="start one: run")
        return cls(found[-1])

    def manifest(self) -> dict[str, Any]:
        """The content of `run.json`, {} where there is none (the interactive folder has none).

        Raises:
            ResumeError: the file is not the JSON that a run writes.
        """
        try:
            found = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as e:
            raise ResumeError(
                f"run.json cannot be read: {type(e).__name__}",
                where=str(self.path / MANIFEST),
                remedy="start a new run",
            ) from e
        if not isinstance(found, dict) or not isinstance(found.get("parameters"), dict):
            raise ResumeError(
                "run.json is not what a run writes",
                where=str(self.path / MANIFEST),
                remedy="start a new run",
            )
        return found

    def hold(self) -> FileLock:
        """Take the run's lock; the system drops it when this process dies, however it dies.

        Raises:
            ResumeError: another process is at this run. RunError: the folder cannot be written.
        """
        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ResumeError(
                "another process is still at this run",
                where=str(self.path),
                remedy="wait for it, or end it, then go on with --resume",
            ) from None
        except OSError as e:
            raise RunError(
                f"the run cannot be locked: {e.strerror}",
                where=str(self.path),
                remedy="make the folder writable, or start a new run with another run_dir",
            ) from e
        return lock

    @property
    def is_held(self) -> bool:
        """True while a live process is at this run."""
        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        lock.release()
        return False

    def _write(self, settings: Settings, steps: tuple[str, ...]) -> None:
        record = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "steps": list(steps),
            "parameters": settings.model_dump(mode="json", exclude={"run_dir"}),
            "versions": {"python": platform.python_version(), **_versions()},
        }
        write_atomically(self.path / MANIFEST, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _candidates(path: Path) -> list[Path]:
    return [path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 1000))]


def _made(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def _known_runs(base: Path) -> list[Path]:
    found: list[tuple[int, str, Path]] = []
    with contextlib.suppress(OSError):  # a base that cannot be listed holds none that could be used
        for manifest in base.glob(f"*/{MANIFEST}"):
            with contextlib.suppress(OSError):  # another run may be removing this one
                found.append((manifest.stat().st_mtime_ns, manifest.parent.name, manifest.parent))
    return [path for _, _, path in sorted(found)]


def _prune(base: Path, keep: int, made: Path) -> None:
    """Remove the oldest finished runs, never `made`: a clock set back makes that look older than others."""
    if not keep:
        return
    others = [path for path in _known_runs(base) if path != made and _is_ours(path)]
    for path in others[: max(0, len(others) - keep + 1)]:
        if not RunFolder(path).is_held:
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Whether a run made this folder, by its name and its run.json: other programs write such files, too."""
    try:
        return bool(_NAME.fullmatch(path.name)) and set(RunFolder(path).manifest()) >= _WRITTEN
    except ResumeError:
        return False


def _listing(base: Path) -> str:
    known = ", ".join(p.name for p in _known_runs(base)[-5:])
    return f"the newest are {known}" if known else "start one: run"


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
