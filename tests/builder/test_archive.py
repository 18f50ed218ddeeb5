"""Tarballs, whole and hostile: one regular file comes out, or nothing does."""

import gzip
import io
import random
import tarfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from runbook_lib.builder import archive
from runbook_lib.builder.archive import extract
from runbook_lib.errors import ArchiveError

MEMBER = "bin/buildctl"
BODY = b"\x7fELF" + b"x" * 100_000


def entry(
    name: str, body: bytes = BODY, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(body) if kind == tarfile.REGTYPE else 0
    return info, body


def tarball(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, body in entries:
            tar.addfile(info, io.BytesIO(body))
    return path


def test_the_named_file_comes_out_executable(tmp_path: Path) -> None:
    archive = tarball(tmp_path / "a.tar.gz", entry("bin/buildkitd", b"d"), entry("./bin/buildctl"))
    extract(archive, MEMBER, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def sparse(name: str, size: int) -> tuple[tarfile.TarInfo, bytes]:
    """A few bytes that claim to be `size` (GNU's sparse format 0.1)."""
    info, body = entry(name, b"abc")
    info.pax_headers = {"GNU.sparse.map": f"0,1,{size},0", "GNU.sparse.size": str(size)}
    return info, body


HOSTILE = {
    "sparse bomb": ([sparse(MEMBER, 1 << 50)], "is sparse"),
    "sparse and small": ([sparse(MEMBER, 9)], "is sparse"),
    "many files": ([*(entry(f"f{n}", b"") for n in range(1500)), entry(MEMBER)], "more than 1000 files"),
    "fifo": ([entry(MEMBER, kind=tarfile.FIFOTYPE)], "not a regular file"),
    "block device": ([entry(MEMBER, kind=tarfile.BLKTYPE)], "not a regular file"),
    "drive letter": ([entry("C:/bin/buildctl"), entry(MEMBER)], "unsafe name"),
    "climbing after it": ([entry(MEMBER), entry("../x", b"")], "unsafe name"),
    "symlinked folder": ([entry("bin", kind=tarfile.SYMTYPE, link="/etc")], "no member"),
    "missing": ([entry("bin/other")], "no member"),
    "absolute": ([entry("/bin/buildctl")], "unsafe name"),
    "climbing": ([entry("bin/../../buildctl"), entry(MEMBER)], "unsafe name"),
    "backslash": ([entry("..\\buildctl"), entry(MEMBER)], "unsafe name"),
    "symlink": ([entry(MEMBER, kind=tarfile.SYMTYPE, link="/etc/passwd")], "not a regular file"),
    "hardlink": ([entry(MEMBER, kind=tarfile.LNKTYPE, link="/etc/passwd")], "not a regular file"),
    "device": ([entry(MEMBER, kind=tarfile.CHRTYPE)], "not a regular file"),
    "folder": ([entry(MEMBER, kind=tarfile.DIRTYPE)], "not a regular file"),
    "twice": ([entry(MEMBER), entry(MEMBER, b"other")], "twice"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members_are_refused_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    entries, message = HOSTILE[case]
    archive = tarball(tmp_path / "a.tar.gz", *entries)
    with pytest.raises(ArchiveError, match=message):
        extract(archive, MEMBER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def block(kind: bytes, size: int = 0) -> bytes:
    """A header alone; with `GNUTYPE_SPARSE`, one that goes on in the next block."""
    info = tarfile.TarInfo("h")
    info.type, info.size = kind, size
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if kind == tarfile.GNUTYPE_SPARSE:
        raw[482] = 1
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:512]))
    return bytes(raw)


def whole_blocks(body: bytes) -> bytes:
    return body + bytes(-len(body) % 512)


def pax(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header; a record is "length key=value", its length counted with itself."""
    lines = [next(b"%d %s\n" % (n, r) for n in range(len(r), len(r) + 12) if len(b"%d %s\n" % (n, r)) == n)
             for r in records]  # fmt: skip
    body = b"".join(lines)
    return block(kind, len(body)) + whole_blocks(body)


GOOD = entry(MEMBER)[0].tobuf() + whole_blocks(BODY)
SPARSE_ROW = b"%011o\0" % 7 * 42 + b"\1" + bytes(7)  # 21 places of data, and there is more to come
SPARSE_10 = (b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=9")
KEYS = [b"k%d=" % n for n in range(3000)]
# As one sees them between members: what tarfile would recurse over, or keep in memory, without an end.
HEADERS = {
    "2,000 pax headers": pax() * 2000,
    "2,000 long names": block(tarfile.GNUTYPE_LONGNAME) * 2000,
    "2,000 global headers": pax(kind=tarfile.XGLTYPE) * 2000,
    "a pax header of 48 MB": pax(b"comment=" + bytes(48_000_000)),
    "a long name of 48 MB": block(tarfile.GNUTYPE_LONGNAME, 48_000_000) + b"n" * 48_000_000,
    "an endless sparse map": block(tarfile.GNUTYPE_SPARSE) + SPARSE_ROW * 20_000,
    "a sparse map of 2,000,000": pax(*SPARSE_10) + block(tarfile.REGTYPE) + b"2000000\n" + b"1\n" * 4_000_000,
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_without_an_end_are_refused_in_little_memory(tmp_path: Path, case: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(whole_blocks(HEADERS[case]) + GOOD + bytes(1024), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="takes more than 65536 bytes"):
            extract(tmp_path / "a.tar.gz", MEMBER, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "out").exists()


def test_what_many_headers_say_is_not_kept(tmp_path: Path) -> None:
    """Within the limit of each; all are of use to nobody when the next member comes."""
    some = [pax(*(b"g%d" % n + key for key in KEYS), kind=tarfile.XGLTYPE) + pax(*KEYS[:9]) + block(b"0")
            for n in range(40)]  # fmt: skip
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"".join(some) + GOOD + bytes(1024), 1))
    tracemalloc.start()
    try:
        extract(tmp_path / "a.tar.gz", MEMBER, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out").read_bytes() == BODY


def test_a_chain_that_goes_too_deep_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_HEADERS", 4 << 20)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(HEADERS["2,000 pax headers"] + GOOD))
    with pytest.raises(ArchiveError, match="not a whole gzip tarball: maximum recursion depth"):
        extract(tmp_path / "a.tar.gz", MEMBER, tmp_path / "out")


@pytest.mark.parametrize("cut", [20, 200, -200, -9, -1])
def test_a_truncated_gzip_is_refused(tmp_path: Path, cut: int) -> None:
    whole = tarball(tmp_path / "a.tar.gz", entry(MEMBER)).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[:cut])
    with pytest.raises(ArchiveError):
        extract(tmp_path / "b.tar.gz", MEMBER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_altered_gzip_is_refused_by_its_checksum(tmp_path: Path) -> None:
    raw = bytearray(tarball(tmp_path / "a.tar.gz", entry(MEMBER)).read_bytes())
    raw[-6] ^= 0xFF  # within the trailing CRC and size
    (tmp_path / "b.tar.gz").write_bytes(raw)
    with pytest.raises(ArchiveError):
        extract(tmp_path / "b.tar.gz", MEMBER, tmp_path / "out")


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>log in", b"\xef\xbb\xbf\n <html>", b"", b"plain text"])
def test_bodies_that_are_no_tarball_are_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(body)
    with pytest.raises(ArchiveError):
        extract(tmp_path / "a.tar.gz", MEMBER, tmp_path / "out")


def test_a_gzip_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.tar.gz"
    tarball(archive, entry(MEMBER, bytes(5_000_000)))
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        extract(archive, MEMBER, tmp_path / "out", limit=1_000_000)
    archive.write_bytes(gzip.compress(bytes(5_000_000)))
    with pytest.raises(ArchiveError):
        extract(archive, MEMBER, tmp_path / "out", limit=1_000_000)
    assert not (tmp_path / "out").exists()


def test_a_missing_archive_names_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be read"):
        extract(tmp_path / "none.tar.gz", MEMBER, tmp_path / "out")


def mutated(raw: bytes, rnd: random.Random) -> bytes:
    """A few bytes of the headers changed, their checksums put right."""
    body = bytearray(raw)
    for _ in range(rnd.randint(1, 4)):
        body[rnd.randrange(4096)] = rnd.choice([0, 0x20, 0x2D, 0x30, 0x37, 0x38, 0x53, 0x80, 0xFF])
    for at in range(0, len(body) - 512, 512):
        if body[at + 257 : at + 262] == b"ustar":
            header = bytes(body[at : at + 148]) + b" " * 8 + bytes(body[at + 156 : at + 512])
            body[at + 148 : at + 156] = b"%06o\0 " % sum(header)
    return bytes(body)


def test_a_member_that_claims_to_be_endless_ends_at_once(tmp_path: Path) -> None:
    info, body = entry("bin/other", b"abc")
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT) + body)
    raw[124:136] = b"\x80" + (1 << 80).to_bytes(11, "big")  # the size, as GNU tar writes large numbers
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:512]))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(raw)))
    begun = time.monotonic()
    with pytest.raises(ArchiveError, match="not a whole gzip tarball"):
        extract(tmp_path / "a.tar.gz", MEMBER, tmp_path / "out")
    assert time.monotonic() - begun < 2


def test_altered_headers_end_in_the_file_or_a_typed_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for info, body in (entry("bin/é" + "x" * 200, b"abc"), sparse("s", 9), entry(MEMBER, b"good")):
            tar.addfile(info, io.BytesIO(body))
    raw, rnd, seen = (tmp_path / "a.tar").read_bytes(), random.Random(5), Counter[str]()  # noqa: S311
    for _ in range(500):
        (tmp_path / "b.tar.gz").write_bytes(gzip.compress(mutated(raw, rnd), 1))
        try:
            extract(tmp_path / "b.tar.gz", MEMBER, tmp_path / "out", limit=10_000_000)
            seen["taken"] += 1
            (tmp_path / "out").unlink()
        except ArchiveError:
            seen["refused"] += 1
            assert not (tmp_path / "out").exists()
    assert min(seen["taken"], seen["refused"]) > 20, seen
