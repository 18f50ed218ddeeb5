"""Downloads: resumed, bounded, checked by length and sha256, and never a web page by mistake.

A download lives in `<target>.part` until it is whole and checked; a killed process leaves that file,
and the next run goes on where it ended when the server still serves the same entity (If-Range).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from runbook_lib.builder.archive import looks_like_html
from runbook_lib.builder.web import (
    REMEDY,
    TransientError,
    client_of_downloads,
    expect,
    follow,
    persist,
    refuse_unprotected,
)
from runbook_lib.errors import ChecksumError, DownloadError
from runbook_lib.progress import Event, Sink

MOST_BYTES = 512 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")
UNCHECKED = "nothing: no published checksum was found"
_SHOWN_EVERY = 1 << 18  # bytes between two progress events
_NUMBER = r"[0-9]{1,18}"  # Python refuses to read numbers of thousands of digits, and no file is that long
_LENGTH = re.compile(_NUMBER)
_RANGE = re.compile(rf"bytes ({_NUMBER})-{_NUMBER}/({_NUMBER}|\*)")


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A finished download: the file, its sha256 (hex), its size in bytes, what it was held against."""

    path: Path
    sha256: str
    size: int
    checked: str


def download(
    url: str, target: Path, *, sha256: str, checked: str, sink: Sink, timeout: float = 600.0
) -> Downloaded:
    """Fetch `url` into `target`, replacing it atomically; `sha256` "" means that none is known.

    Raises:
        DownloadError: no connection, an error answer, a web page, a short or too large body, a redirect to
            plain http, plain http without a known sha256, not done in `timeout` seconds, or a variable
            for proxies or CAs that cannot be used.
        ChecksumError: the file is whole but not the one expected; nothing is left behind.
    """
    if not sha256:
        refuse_unprotected(url)
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    with client_of_downloads(url) as client:
        persist(lambda left: _one_attempt(client, url, part, sink, left), url, timeout)
    found = sha256_of(part)
    if sha256 and found != sha256:
        _forget(part)
        raise ChecksumError(
            f"the sha256 is {found}, expected {sha256}",
            where=url,
            remedy="do not use this file; check the expected value and the mirror",
        )
    size = part.stat().st_size
    part.replace(target)
    _note(part).unlink(missing_ok=True)
    sink(Event(key=url, message=f"downloaded {target.name}", current=size, total=size, done=True))
    return Downloaded(target, found, size, checked if sha256 else UNCHECKED)


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _one_attempt(client: httpx.Client, url: str, part: Path, sink: Sink, left: float) -> None:
    have, etag = _resumable(part, url)
    headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
    deadline = time.monotonic() + left
    with follow(client, url, headers, left) as answer:
        if answer.status_code == 416:
            _forget(part)
            raise TransientError("the server has less than what was downloaded before")
        expect(answer, (200, 206))
        begin, total = _extent(answer, have)
        _remember(part, url, answer.headers.get("etag", ""))
        with part.open("r+b" if begin else "wb") as out:
            out.seek(begin)
            out.truncate()
            at = shown = begin
            for chunk in answer.iter_raw():  # as it comes: a chunk held back would be lost by a cut
                if at == 0 and looks_like_html(chunk):
                    _forget(part)
                    raise DownloadError("the body is a web page, not a file", where=url, remedy=REMEDY)
                out.write(chunk)
                at += len(chunk)
                _hold_limits(at, deadline, url, part)
                if at - shown >= _SHOWN_EVERY:
                    shown = at
                    sink(Event(key=url, message=f"downloading {part.stem}", current=at, total=total))
    if total and at != total:
        raise TransientError(f"the body ended after {at} of {total} bytes")


def _extent(answer: httpx.Response, have: int) -> tuple[int, int]:
    """(first byte of this body, total bytes or 0) from the answer's headers."""
    if answer.status_code == 206:
        match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if not match or int(match[1]) != have:
            raise TransientError("the server answers another part than the one asked for")
        return have, int(match[2]) if match[2] != "*" else 0
    length = answer.headers.get("content-length", "")
    return 0, int(length) if _LENGTH.fullmatch(length) else 0


def _hold_limits(at: int, deadline: float, url: str, part: Path) -> None:
    if at > MOST_BYTES:
        _forget(part)
        raise DownloadError(f"the body is larger than {MOST_BYTES} bytes", where=url, remedy=REMEDY)
    if time.monotonic() > deadline:
        raise DownloadError(
            "the download has not ended in time; the next run goes on where it is", where=url, remedy=REMEDY
        )


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _resumable(part: Path, url: str) -> tuple[int, str]:
    try:
        note = json.loads(_note(part).read_text())
        # Only a strong validator tells that the rest belongs to the same bytes (RFC 9110, 13.1.5).
        if note["url"] == url and note["etag"] and not note["etag"].startswith("W/"):
            return part.stat().st_size, note["etag"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _remember(part: Path, url: str, etag: str) -> None:
    _note(part).write_text(json.dumps({"url": url, "etag": etag}))


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
