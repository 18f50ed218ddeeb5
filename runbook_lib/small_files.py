"""Small files that a person names, read whole without what hangs or fills memory; files that are replaced."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 1_000_000


def expanded(path: str | Path) -> Path:
    """`path` with its ~ replaced.

    Raises:
        OSError: the user after the ~ does not exist, or this one has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise OSError(errno.EINVAL, "no home folder is known for its ~") from None


def read_small(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most` bytes; a ~ is replaced.

    A pipe would wait for a writer, and a device may have no end: neither is opened for long.

    Raises:
        OSError: there is no such file, it is no file or too large (errno EFBIG), or it cannot be read;
            `strerror` says which.
    """
    file = expanded(path)
    try:
        _require_regular(file.stat().st_mode)
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:  # a NUL, or half a surrogate pair
        raise OSError(errno.EINVAL, "its name holds a character that no file name has") from None
    with os.fdopen(descriptor, "rb") as stream:
        _require_regular(os.fstat(descriptor).st_mode)
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most // 1000} kB")
    return content


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, mode 0600, that takes the place of `path` in one step when the body ends well.

    A reader sees the old file or the new one; where the body or the step fails, the old one is as it was.

    Raises:
        OSError: the folder or the disk does not take it.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
        raise


def barred(path: str | Path, access: int = os.R_OK) -> str:
    """What keeps this user from `path`, in the system's words; "" where nothing does, or nothing is there.

    `access` is what os.access takes. Path.is_file and its like raise PermissionError for a folder on the way.
    """
    try:
        file = expanded(path)
        file.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ""
    except OSError as e:
        return e.strerror or type(e).__name__
    return "" if os.access(file, access) else os.strerror(errno.EACCES)


def is_stream(path: str | Path) -> bool:
    """True where a pipe, a socket or a device stands in the place of a file."""
    try:
        mode = expanded(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
