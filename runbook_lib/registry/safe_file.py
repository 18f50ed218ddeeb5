"""Replacing a file that other programs read and write too: lock, backup, temporary file, rename."""

from __future__ import annotations

import glob
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from runbook_lib.errors import DockerConfigError
from runbook_lib.small_files import read_small

LOCK_SUFFIX = ".buildkit-runbook.lock"
BACKUP_SUFFIX = ".buildkit-runbook.bak"
TEMPORARY_SUFFIX = ".buildkit-runbook.tmp."
LOCK_SECONDS = 10.0
_ATTEMPTS = 5


def real_path(path: Path) -> Path:
    """The file behind `path`: symlinks are followed, so that the link survives and its target changes.

    Raises:
        DockerConfigError: the links go round in a circle, or no file can have this name.
    """
    try:
        return path.resolve(strict=False)
    except (OSError, RuntimeError) as e:
        raise DockerConfigError(
            "it is a symbolic link that leads nowhere", where=str(path), remedy="remove or mend the link"
        ) from e
    except ValueError:
        raise DockerConfigError(
            "its name holds a character that no file name has",
            where=repr(str(path)),
            remedy="correct the parameter docker_config, or the variable DOCKER_CONFIG",
        ) from None


def read(path: Path) -> bytes | None:
    """The content, or None where there is no file.

    Raises:
        DockerConfigError: it exists and cannot be read, is no regular file or larger than any config.
    """
    try:
        return read_small(path)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise _not_readable(path, e) from e


def is_there(path: Path) -> bool:
    """True where there is something at `path`.

    Raises:
        DockerConfigError: this user may not look there.
    """
    try:
        return path.exists()
    except OSError as e:
        raise _not_readable(path, e) from e


def backup_of(path: Path) -> Path:
    """Where the content before the last `update` is kept."""
    target = real_path(path)
    return target.with_name(target.name + BACKUP_SUFFIX)


def update(path: Path, change: Callable[[bytes | None], bytes | None], *, backup: bool = True) -> bool:
    """Replace the content by `change(content)`; None from `change` means: leave it alone.

    True when something was written. `change` runs again when another program (docker itself does not
    know our lock) wrote in between. New files get mode 0600 and new folders 0700; an existing file keeps its
    owner and mode, as docker/cli keeps them.
    Without `backup` none is kept, and an earlier one goes first: a secret that is taken out must not
    live on beside the file. A folder that cannot be written is no obstacle where nothing is to be written.

    Raises:
        DockerConfigError: not writable, or the lock or a quiet moment was not had in time.
    """
    target = real_path(path)
    if backup and is_there(target.parent) and not os.access(target.parent, os.W_OK):
        before = read(target)
        if change(before) in (None, before):
            return False
    with _locked(target):
        for _ in range(_ATTEMPTS):
            before = read(target)
            after = change(before)
            if not backup:
                backup_of(target).unlink(missing_ok=True)
            if after is None or after == before:
                return False
            if _replace(target, before, after, backup=backup):
                return True
    raise DockerConfigError(
        f"another program changed it {_ATTEMPTS} times while it was being written",
        where=str(target),
        remedy="wait until no docker login runs, then try again",
    )


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = FileLock(f"{target}{LOCK_SUFFIX}", timeout=LOCK_SECONDS, mode=0o600)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout:
        raise DockerConfigError(
            f"another run has held the lock for more than {LOCK_SECONDS:.0f} s",
            where=str(target),
            remedy="wait for that run; the lock ends with its process",
        ) from None
    except OSError as e:
        raise _not_writable(target, e) from e
    try:
        _give_to_owner(target)
        # What a killed run left: nobody else writes such names, and the lock is ours now.
        for left in target.parent.glob(f".{glob.escape(target.name)}*{TEMPORARY_SUFFIX}*"):
            left.unlink(missing_ok=True)
        yield
    except OSError as e:
        raise _not_writable(target, e) from e
    finally:
        lock.release()


def _give_to_owner(target: Path) -> None:
    """What root locks in a user's folder (sudo) must not lock that user out of the next run."""
    if os.geteuid() == 0:
        owner = (target if target.exists() else target.parent).stat()
        os.chown(f"{target}{LOCK_SUFFIX}", owner.st_uid, owner.st_gid, follow_symlinks=False)


def _replace(target: Path, before: bytes | None, after: bytes, *, backup: bool) -> bool:
    """Write `after` unless the file is no longer `before`; False when it is not."""
    try:
        if before is not None and backup:
            _write(backup_of(target), before, None)
        return _write(target, after, before)
    except OSError as e:
        raise _not_writable(target, e) from e


def _write(path: Path, content: bytes, expected: bytes | None) -> bool:
    """Temporary file in the same folder, fsync, rename; `expected` is compared right before the rename."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}{TEMPORARY_SUFFIX}", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _keep_owner_and_mode(path, stream.fileno())
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        is_backup = path.name.endswith(BACKUP_SUFFIX)
        if not is_backup and read(path) != expected:
            temporary.unlink()
            return False
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


def _keep_owner_and_mode(path: Path, descriptor: int) -> None:
    try:
        old = path.stat()
    except FileNotFoundError:
        return  # mkstemp made it 0600, which is what a new file shall have
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_readable(path: Path, e: OSError) -> DockerConfigError:
    return DockerConfigError(
        f"it cannot be read: {e.strerror}",
        where=str(path),
        remedy="make it readable for this user, or give another folder in docker_config",
    )


def _not_writable(target: Path, e: OSError) -> DockerConfigError:
    return DockerConfigError(
        f"it cannot be written: {e.strerror or type(e).__name__}",
        where=str(target),
        remedy="make its folder writable for this user, or give another folder in docker_config",
    )
