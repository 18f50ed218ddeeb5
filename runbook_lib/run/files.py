"""Paths that a person wrote, and files that are replaced in one step."""

from __future__ import annotations

from pathlib import Path

from runbook_lib.errors import RunError
from runbook_lib.small_files import replacing


def absolute(text: str) -> Path:
    """The path that a person wrote, `~` and links followed.

    Raises:
        RunError: there is no such home folder, or the links lead in a circle.
    """
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as e:
        raise RunError(
            f"it is no path that can be followed: {e}", where=text, remedy="write the path out"
        ) from e


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, mode 0600: a reader sees the old file or the new one.

    Raises:
        RunError: it cannot be written; the old file is as it was.
    """
    try:
        with replacing(path) as file:
            file.write(text.encode(errors="replace"))
    except OSError as e:
        raise RunError(
            f"it cannot be written: {e.strerror}",
            where=str(path),
            remedy="make room and the folder writable, or give another in the parameter run_dir",
        ) from e
