"""The folder of fetched binaries: `<bin_dir>/<version>/<program>`, replaced atomically under a lock.

Beside each binary lies `<program>.json` with its sha256, source and what was checked; a binary whose
bytes no longer have that sha256 counts as not fetched.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock
import platformdirs

from runbook_lib.builder.fetch import sha256_of
from runbook_lib.errors import SourceError
from runbook_lib.settings import Settings
from runbook_lib.small_files import barred

LOCK_TIMEOUT = 120.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # write(2) names no file


@dataclass(frozen=True, slots=True)
class Fetched:
    """A binary in the store: path, version (v1.2.3), platform, sha256, source, what was checked, origin.

    `origin` names what the binary was taken from: an address, an archive's sha256, a pod's image.
    """

    path: str
    version: str
    platform: str
    sha256: str
    source: str
    checked: str
    origin: str


class Store:
    """One `bin_dir`. Reading makes nothing; writing needs `locked()`."""

    def __init__(self, settings: Settings) -> None:
        given = settings.bin_dir
        self.folder = (
            Path(given).expanduser().absolute()
            if given
            else platformdirs.user_data_path("buildkit-runbook") / "bin"
        )

    def path(self, program: str, version: str, platform: str, own_platform: str) -> Path:
        """Where a binary belongs; those for another platform than this machine's have it in the folder."""
        folder = version if platform == own_platform else f"{version}-{platform.replace('/', '-')}"
        return self.folder / folder / (f"{program}.exe" if platform.startswith("windows/") else program)

    def look(self, path: Path) -> Fetched | None:
        """The record of a fetched binary, when it is there and its bytes still have the recorded sha256.

        Its path is where it lies now: the folder may have been moved or copied since the note was written.
        """
        try:
            record = Fetched(**json.loads(_note(path).read_text()))
            intact = os.access(path, os.X_OK) and sha256_of(path) == record.sha256
        except (OSError, ValueError, TypeError):
            return None
        return replace(record, path=str(path)) if intact else None

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Hold the store against other runs; yields a folder for temporary files, removed at the end.

        Raises:
            SourceError: the folder cannot be written, or another run holds it for over two minutes.
        """
        with ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(filelock.FileLock(self.folder / ".lock", timeout=LOCK_TIMEOUT))
                held.enter_context(_swept(self.folder))
                made = tempfile.TemporaryDirectory(
                    prefix=".fetch-", dir=self.folder, ignore_cleanup_errors=True
                )
                temporary = held.enter_context(made)
            except filelock.Timeout as e:
                raise SourceError(
                    f"another run has been fetching for over {LOCK_TIMEOUT:g} s",
                    where=str(self.folder),
                    remedy="wait for it, or give another bin_dir",
                ) from e
            except OSError as e:
                raise self._not_writable(e) from e
            try:
                yield Path(temporary)
            except OSError as e:
                if not self._is_of_writing(e):
                    raise
                raise self._not_writable(e) from e

    def _is_of_writing(self, e: OSError) -> bool:
        """True where this folder is at fault; OSError is also what the network and other files raise."""
        if e.filename is None:
            return e.errno in _FULL
        return Path(str(e.filename)).resolve().is_relative_to(self.folder.resolve())

    def _not_writable(self, e: OSError) -> SourceError:
        return SourceError(
            f"cannot be written: {e.strerror}", where=str(self.folder), remedy="give a writable bin_dir"
        )

    def put(self, found: Path, record: Fetched) -> Fetched:
        """Move a checked binary to its place, with its record. The caller holds the lock."""
        target = Path(record.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        found.chmod(0o755)
        temporary = found.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n")
        found.replace(target)
        temporary.replace(_note(target))
        return record

    def fetched(self) -> list[Fetched]:
        """The records of all binaries that are here and intact, by path.

        Raises:
            SourceError: this user may not look into the folder.
        """
        if why := barred(self.folder, os.R_OK | os.X_OK):
            raise SourceError(
                f"cannot be read: {why}", where=str(self.folder), remedy="give another folder in bin_dir"
            )
        notes = sorted(self.folder.glob("*/*.json"))
        looked = (self.look(note.with_name(note.name.removesuffix(".json"))) for note in notes)
        return [record for record in looked if record is not None]

    def find(self, program: str, platform: str, version: str = "") -> Path | None:
        """An intact binary for `platform`: of `version` if that is here, else the newest; None for none."""
        names = (program, f"{program}.exe")
        found = [r for r in self.fetched() if r.platform == platform and Path(r.path).name in names]
        best = max(found, key=lambda r: (r.version == version, _numbers(r.version)), default=None)
        return Path(best.path) if best else None

    def remove(self, record: Fetched) -> None:
        """Delete one fetched binary, its record, and the version's folder once it is empty."""
        target = Path(record.path)
        _note(target).unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        if not any(target.parent.iterdir()):
            target.parent.rmdir()

    def downloads(self) -> Path:
        """Folder of unfinished downloads, kept between runs so that they can be resumed."""
        folder = self.folder / ".downloads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Remove the temporary folders of runs that were killed: the lock is ours, so nobody uses them."""
    for left in folder.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    yield


def _numbers(version: str) -> tuple[int, ...]:
    """v1.22.3 as (1, 22, 3), so that v1.22 stands above v1.3."""
    return tuple(int(n) for n in re.findall(r"\d+", version))


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")
