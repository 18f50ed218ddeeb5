"""Servers that mean ill or are broken: each ends in a typed error, in time, and no file is left to use."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from dripping import WAYS, dripping

from runbook_lib.builder import fetch, web
from runbook_lib.builder.fetch import download
from runbook_lib.builder.web import get_small
from runbook_lib.errors import ChecksumError, DownloadError
from runbook_lib.progress import silent_sink

from .hostile import Hostile, serve

LIMIT = 1.0  # seconds that a download may take here
DOWNLOADS = {
    "/endless": (DownloadError, "larger than"),
    "/drip": (DownloadError, "not ended in time"),
    "/silent": (DownloadError, "gave up"),
    "/bomb": (ChecksumError, "sha256"),
    "/longer": (ChecksumError, "sha256"),
    "/shorter": (DownloadError, "gave up"),
    "/lying-range": (DownloadError, "gave up"),
    "/long-total": (DownloadError, "gave up"),
    "/to-http": (DownloadError, "from https to an unprotected"),
    "/to-bracket": (DownloadError, "not an address"),
    "/to-long-name": (DownloadError, "not an address"),
}
SMALL = {
    "/endless": "larger than",
    "/drip": "did not end within",
    "/silent": "gave up",
    "/shorter": "gave up",
    "/to-http": "from https to an unprotected",
    "/to-bracket": "not an address",
    "/to-long-name": "not an address",
}


@pytest.fixture(scope="module", name="folder")
def folder_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module", name="authority")
def authority_fixture(folder: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return authority


@pytest.fixture(scope="module", name="hostile")
def hostile_fixture(authority: trustme.CA) -> Iterator[Hostile]:
    with serve(authority.issue_cert("127.0.0.1")) as server:
        yield server


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    monkeypatch.setattr(fetch, "MOST_BYTES", 3_000_000)
    monkeypatch.setattr(web, "ATTEMPTS", 2)


@pytest.mark.parametrize(("path", "expected"), DOWNLOADS.items(), ids=DOWNLOADS)
def test_a_hostile_download_ends_in_time_and_leaves_no_file(
    hostile: Hostile, tmp_path: Path, path: str, expected: tuple[type[DownloadError], str]
) -> None:
    error, said = expected
    begun = time.monotonic()
    with pytest.raises(error, match=said) as caught:
        download(
            hostile.url + path,
            tmp_path / "f",
            sha256="ab" * 32,
            checked="test",
            sink=silent_sink,
            timeout=LIMIT,
        )
    assert caught.value.remedy
    assert time.monotonic() - begun < LIMIT + 2
    assert not (tmp_path / "f").exists()
    left = [p for p in tmp_path.iterdir() if p.stat().st_size > 3_100_000]
    assert left == []


@pytest.mark.parametrize(("path", "said"), SMALL.items(), ids=SMALL)
def test_a_hostile_checksum_file_ends_in_time(hostile: Hostile, path: str, said: str) -> None:
    begun = time.monotonic()
    with pytest.raises(DownloadError, match=said):
        get_small(hostile.url + path, timeout=LIMIT, limit=100_000)
    assert time.monotonic() - begun < LIMIT + 2


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_never_ends_is_left_in_time(way: str, tmp_path: Path, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with dripping(way, context) as host:
        begun = time.monotonic()
        with pytest.raises(DownloadError, match=r"did not end within|gave up") as caught:
            get_small(f"https://{host}/f", timeout=LIMIT)
        assert time.monotonic() - begun < LIMIT + 2
        with pytest.raises(DownloadError, match=r"end within|ended in time|gave up"):
            download(
                f"https://{host}/f",
                tmp_path / "f",
                sha256="ab" * 32,
                checked="test",
                sink=silent_sink,
                timeout=LIMIT,
            )
        assert time.monotonic() - begun < 2 * (LIMIT + 2)
    assert caught.value.remedy


def test_a_compressed_body_is_not_unpacked(hostile: Hostile) -> None:
    body = get_small(hostile.url + "/bomb", timeout=5)
    assert body is not None
    assert len(body) < 100_000


def test_a_certificate_of_nobody_is_refused(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    before = len(hostile.asked)
    with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
        get_small(hostile.url + "/f", timeout=LIMIT)
    assert len(hostile.asked) == before
