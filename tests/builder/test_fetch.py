"""Downloads from a real HTTP server that can misbehave."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runbook_lib.builder.fetch import download
from runbook_lib.errors import ChecksumError, DownloadError
from runbook_lib.progress import Event, silent_sink

BODY = bytes(range(256)) * 4000
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY; `cuts` is how many answers break off half-way, `busy` how many say 503."""

    cuts = 0
    busy = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/html":
            return self.answer(200, b"<html>log in", {"Content-Type": "text/html; charset=utf-8"})
        if self.path == "/sly":
            return self.answer(200, b"\n<!doctype html>", {"Content-Type": "application/gzip"})
        if self.path == "/loop":
            return self.answer(302, b"", {"Location": "/loop"})
        if self.path == "/gone":
            return self.answer(404, b"")
        if self.server.busy:
            self.server.busy -= 1
            return self.answer(503, b"")
        return self.body()

    def body(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.ranges.append(asked)
        begin = 0
        headers = {"ETag": '"one"'}
        if asked and self.headers.get("If-Range") == '"one"':
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"
        body = BODY[begin:]
        cut = self.server.cuts > 0
        self.server.cuts -= cut
        self.answer(206 if begin else 200, body, headers, len(body) // 2 if cut else len(body))

    def answer(
        self, code: int, body: bytes, headers: dict[str, str] | None = None, send: int | None = None
    ) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:send])
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server: Server, path: str, target: Path, sha: str = SHA) -> str:
    return download(
        f"{server.url}{path}", target, sha256=sha, checked="test", sink=silent_sink, timeout=20
    ).sha256


def test_a_whole_file_arrives_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[Event] = []
    done = download(f"{server.url}/f", tmp_path / "f", sha256=SHA, checked="test", sink=seen.append)
    assert (tmp_path / "f").read_bytes() == BODY
    assert (done.size, done.checked) == (len(BODY), "test")
    assert seen[-1].done
    assert seen[-1].current == len(BODY)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]


def test_a_cut_download_is_resumed_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.cuts = 2
    assert get(server, "/f", tmp_path / "f") == SHA
    assert server.ranges[0] == ""
    assert server.ranges[1] == f"bytes={len(BODY) // 2}-"
    assert len(server.ranges) == 3


def test_what_a_killed_run_left_is_resumed_by_the_next(server: Server, tmp_path: Path) -> None:
    server.cuts = 99
    with pytest.raises(DownloadError, match="gave up after 4 attempts"):
        get(server, "/f", tmp_path / "f")
    assert not (tmp_path / "f").exists()
    server.cuts, server.ranges = 0, []
    assert get(server, "/f", tmp_path / "f") == SHA
    assert server.ranges[0].startswith("bytes=")


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.busy = 2
    assert get(server, "/f", tmp_path / "f") == SHA


def test_a_wrong_sha256_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match="expected 0000"):
        get(server, "/f", tmp_path / "f", sha="0" * 64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [("/html", "web page"), ("/sly", "web page"), ("/loop", "redirects"), ("/gone", "answers 404")],
)
def test_answers_that_are_not_the_file_are_refused(
    server: Server, tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(DownloadError, match=message):
        get(server, path, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_plain_http_needs_a_known_sha256(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="plain http"):
        get(server, "/f", tmp_path / "f", sha="")
    assert server.ranges == []


def test_no_server_is_a_bounded_typed_error(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="gave up"):
        download("http://127.0.0.1:9/f", tmp_path / "f", sha256=SHA, checked="", sink=silent_sink, timeout=5)
