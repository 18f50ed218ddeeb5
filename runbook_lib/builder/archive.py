"""Take one named regular file out of a release tarball, and nothing else.

The tarball is read once from front to back, to its end: a truncated or altered gzip is noticed by
its checksum, and a second member of the same name cannot slip in. Nothing is written but the target.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from runbook_lib.errors import ArchiveError

MOST_BYTES = 1 << 30  # unpacked; the BuildKit release of v0.34 unpacks to about 200 MB
MOST_MEMBERS = 1000  # the BuildKit release of v0.34 has about 15
# Between two members: tarfile keeps what headers say in memory, and copies it for each of a chain of them.
MOST_HEADERS = 1 << 16  # bytes
_MOST_EMPTY = 100  # reads past the end; a whole archive needs two or three
# RecursionError: tarfile calls itself for each header that stands before a member's own.
_NO_TARBALL = (
    tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, OverflowError, RecursionError
)  # fmt: skip
_REMEDY = "fetch the release tarball again from its official place, or give buildctl_sha256"


class _Bounded:
    """A reader that refuses to give more than a number of bytes, and to be read on past its end.

    `headers_from(offset)` tells where the next header begins: from there on a limited number is given.
    """

    def __init__(self, inner: IO[bytes], limit: int, where: str) -> None:
        self._inner = inner
        self._left = limit
        self._limit = limit
        self._empty = 0
        self._where = where
        self._given = 0
        self._headers_end: int | None = None

    def headers_from(self, offset: int | None) -> None:
        """The next header begins at `offset`; None: no more headers come."""
        self._headers_end = None if offset is None else offset + MOST_HEADERS

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._inner.read(size)
        self._left -= len(data)
        self._given += len(data)
        if self._headers_end is not None and self._given > self._headers_end:
            raise ArchiveError(
                f"a header in it takes more than {MOST_HEADERS} bytes", where=self._where, remedy=_REMEDY
            )
        if not data and size:
            # tarfile reads on for as long as a header claims: years, past the end of a tiny archive.
            self._empty += 1
            if self._empty > _MOST_EMPTY:
                raise EOFError("it is shorter than its headers say")
        if self._left < 0:
            raise ArchiveError(
                f"it unpacks to more than {self._limit} bytes", where=self._where, remedy=_REMEDY
            )
        return data


def extract(archive: Path, member: str, target: Path, limit: int = MOST_BYTES) -> None:
    """Write the regular file `member` (such as bin/buildctl) of a .tar.gz to `target`, mode 0755.

    On any error `target` does not exist afterwards.

    Raises:
        ArchiveError: not a gzip tarball, truncated, larger than `limit` bytes unpacked, a name in it is
            absolute or climbs with '..', or `member` is missing, doubled, a link, a folder or a device.
    """
    _refuse_html(archive)
    done = False
    try:
        with gzip.open(archive, "rb") as unpacked:
            reader = _Bounded(cast(IO[bytes], unpacked), limit, str(archive))
            reader.headers_from(0)
            with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r|") as tar:
                found = _walk(_members(tar, reader), archive, member, target)
            reader.headers_from(None)
            while reader.read(1 << 20):  # on to the end of the gzip, where its checksum is
                pass
        if not found:
            raise ArchiveError(f"it has no member {member}", where=str(archive), remedy=_REMEDY)
        target.chmod(0o755)
        done = True
    except _NO_TARBALL as e:
        raise ArchiveError(
            f"it is not a whole gzip tarball: {e or type(e).__name__}", where=str(archive), remedy=_REMEDY
        ) from e
    except OSError as e:
        raise ArchiveError(
            f"cannot be read or unpacked: {e.strerror}",
            where=str(archive),
            remedy="check the file, and the room and rights in bin_dir",
        ) from e
    finally:
        if not done:
            target.unlink(missing_ok=True)


def _members(tar: tarfile.TarFile, reader: _Bounded) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each member and its content, while nothing is kept of those before it."""
    kept: Any = tar  # what it keeps is in attributes that its types do not tell of
    while (info := tar.next()) is not None:
        reader.headers_from(tar.offset)
        yield info, tar.extractfile(info) if info.isreg() and not info.issparse() else None
        kept.members.clear()
        kept.pax_headers.clear()


def _walk(
    members: Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]], archive: Path, member: str, target: Path
) -> bool:
    found = False
    for count, (info, source) in enumerate(members, 1):
        if count > MOST_MEMBERS:
            raise ArchiveError(f"it holds more than {MOST_MEMBERS} files", where=str(archive), remedy=_REMEDY)
        name = _safe_name(info.name, archive)
        if name != member:
            continue
        if found:
            raise ArchiveError(f"it has the member {member} twice", where=str(archive), remedy=_REMEDY)
        if not info.isreg():
            raise ArchiveError(
                f"its member {member} is a link, folder or device, not a regular file",
                where=str(archive),
                remedy=_REMEDY,
            )
        # A sparse member is as long as its header says, whatever the archive holds: a bomb past `_Bounded`.
        if info.issparse():
            raise ArchiveError(f"its member {member} is sparse", where=str(archive), remedy=_REMEDY)
        if source is None:
            raise ArchiveError(f"its member {member} has no content", where=str(archive), remedy=_REMEDY)
        with target.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        if target.stat().st_size != info.size:
            raise ArchiveError(f"its member {member} is cut short", where=str(archive), remedy=_REMEDY)
        found = True
    return found


def _safe_name(name: str, archive: Path) -> str:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise ArchiveError(f"it holds the unsafe name {name!r}", where=str(archive), remedy=_REMEDY)
    return "/".join(part for part in parts if part not in ("", "."))


def _refuse_html(archive: Path) -> None:
    try:
        with archive.open("rb") as f:
            head = f.read(512)
    except OSError as e:
        raise ArchiveError(
            f"cannot be read: {e.strerror}", where=str(archive), remedy="check the path in buildctl_archive"
        ) from e
    if looks_like_html(head):
        raise ArchiveError(
            "it is a web page, not a tarball (a proxy's or a login page, perhaps)",
            where=str(archive),
            remedy=_REMEDY,
        )


def looks_like_html(head: bytes) -> bool:
    """True when the first bytes of a body are those of an HTML or XML page."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
