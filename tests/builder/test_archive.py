"""Tarballs, whole and hostile: one regular file comes out, or nothing does."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

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


HOSTILE = {
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
