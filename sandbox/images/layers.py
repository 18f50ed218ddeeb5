"""Deterministic layers: the same files give the same bytes, so that digests agree from host to host."""

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Level 1: the layers never leave the machine, so time matters and size does not.
_GZIP_LEVEL = 1


@dataclass(frozen=True)
class Entry:
    """One member of a layer. `path` has no leading slash; exactly one of the kinds below applies.

    `source` is a file to copy, `content` the bytes of a file, `link` the target of a symbolic link; none of
    them makes a folder. `owner` is both uid and gid. `capability` is the number of a file capability to grant
    (capabilities(7)).
    """

    path: str
    mode: int = 0o755
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    owner: int = 0
    capability: int | None = None


@dataclass(frozen=True)
class Blob:
    """Content by its digest: `digest` is `sha256:<hex>`, `size` in bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class Layer:
    """A compressed layer and `diff_id`, the digest of its uncompressed tar (OCI image spec, config.md)."""

    blob: Blob
    diff_id: str


def write_layer(entries: Iterable[Entry], folder: Path) -> Layer:
    """Write a layer of `entries` (sorted, parents added) into `folder` under its digest's hex name."""
    raw = folder / ".layer.tar"
    with tarfile.open(raw, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in _with_parents(entries):
            _add(archive, entry)
    with raw.open("rb") as stream:
        diff_id = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    packed = folder / ".layer.tar.gz"
    with (
        raw.open("rb") as source,
        packed.open("wb") as target,
        # No name and no time in the gzip header: both would change the digest.
        gzip.GzipFile("", "wb", _GZIP_LEVEL, target, mtime=0) as compressor,
    ):
        while chunk := source.read(1024**2):
            compressor.write(chunk)
    raw.unlink()
    with packed.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    blob = Blob(f"sha256:{digest}", packed.stat().st_size)
    packed.replace(folder / digest)
    return Layer(blob, diff_id)


def write_blob(content: bytes, folder: Path) -> Blob:
    """Write `content` into `folder` under its digest's hex name."""
    digest = hashlib.sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    return Blob(f"sha256:{digest}", len(content))


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    known = {entry.path: entry for entry in entries}
    for path in list(known):
        for parent in Path(path).parents:
            name = str(parent)
            if name != ".":
                known.setdefault(name, Entry(name))
    return [known[path] for path in sorted(known)]


def _capability_xattr(number: int) -> str:
    """The value of security.capability that permits one capability and makes it effective.

    The format is the kernel's `struct vfs_cap_data`, revision 2 (include/uapi/linux/capability.h).
    """
    permitted = 1 << number
    raw = struct.pack("<5I", 0x02000001, permitted & 0xFFFFFFFF, 0, permitted >> 32, 0)
    return raw.decode("utf-8", "surrogateescape")


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.uid, info.gid = entry.mode, entry.owner, entry.owner
    if entry.capability is not None:
        info.pax_headers = {"SCHILY.xattr.security.capability": _capability_xattr(entry.capability)}
    if entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        archive.addfile(info)
    elif entry.source is not None:
        info.size = entry.source.stat().st_size
        with entry.source.open("rb") as stream:
            archive.addfile(info, stream)
    elif entry.content is not None:
        info.size = len(entry.content)
        archive.addfile(info, io.BytesIO(entry.content))
    else:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
