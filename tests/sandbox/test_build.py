"""The build cache and release downloads: real builds of the smallest tool, a real local HTTP server."""

import hashlib
import http.server
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.build import ensure_tool, tool_folder
from sandbox.build.release import download_tool
from sandbox.build.tools import TOOLS
from sandbox.console import Reporter
from sandbox.errors import BusyError, ReleaseError
from sandbox.locks import hold

QUIET = Reporter(quiet=True)
RUNC = b"#!/bin/sh\necho runc\n" * 100
PREFIX = "/github.com/opencontainers/runc/releases/download/v1.5.2/"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path))
    return tmp_path


def test_a_program_is_built_once_and_tells_its_version(cache: Path) -> None:
    program = ensure_tool("pause", QUIET)["pause"]
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert TOOLS["pause"].version in told
    written = program.stat().st_mtime_ns
    assert ensure_tool("pause", QUIET)["pause"].stat().st_mtime_ns == written


def test_a_corrupted_program_is_built_again(cache: Path) -> None:
    program = ensure_tool("pause", QUIET)["pause"]
    status, good = program.stat(), program.read_bytes()
    program.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    os.utime(program, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ensure_tool("pause", QUIET)["pause"].read_bytes() != good, (
        "same size and time: only --verify sees it"
    )
    assert ensure_tool("pause", QUIET, verify=True)["pause"].read_bytes() == good
    program.write_bytes(b"short")
    assert ensure_tool("pause", QUIET)["pause"].read_bytes() == good


def test_a_killed_build_leaves_nothing_that_counts(cache: Path) -> None:
    environment = {**os.environ, "SANDBOX_CACHE": str(cache), "GOCACHE": str(cache / "gocache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.build", "pause"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not list(cache.glob(".building-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert list(cache.glob(".building-pause-*")), "the build was killed while it was at work"
    assert not tool_folder(TOOLS["pause"]).exists()
    assert ensure_tool("pause", QUIET)["pause"].exists()
    assert not list(cache.glob(".building-*"))


def test_a_lock_that_is_held_is_reported_after_a_bounded_wait(tmp_path: Path) -> None:
    script = (
        "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); time.sleep(30)"
    )
    path = tmp_path / "x.lock"
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=r"x\.lock"), hold(path, "the thing", 0.3, QUIET):
            pass
        holder.kill()
    with hold(path, "the thing", 5, QUIET):
        pass


@pytest.fixture
def mirror() -> Iterator[tuple[str, dict[str, tuple[int, bytes, int | None]]]]:
    """A server of (status, body, announced length) by path."""
    files: dict[str, tuple[int, bytes, int | None]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, length = files.get(self.path, (404, b"no", None))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", files
        server.shutdown()
        thread.join(5)


def sums(body: bytes) -> tuple[int, bytes, None]:
    return 200, f"{'0' * 64}  runc.arm64\n{hashlib.sha256(body).hexdigest()}  runc.amd64\n".encode(), None


def test_a_good_release_is_taken(mirror: tuple[str, dict], tmp_path: Path) -> None:
    base, files = mirror
    files[PREFIX + "runc.amd64"] = (200, RUNC, None)
    files[PREFIX + "runc.sha256sum"] = sums(RUNC)
    url = download_tool(TOOLS["runc"], "amd64", tmp_path, base)
    assert url.endswith("runc.amd64")
    assert (tmp_path / "runc").read_bytes() == RUNC
    assert os.access(tmp_path / "runc", os.X_OK)


@pytest.mark.parametrize(
    ("answer", "digest", "message"),
    [
        ((200, RUNC + b"x", None), sums(RUNC), "sha256"),
        ((200, RUNC[:50], len(RUNC)), sums(RUNC), "download failed"),
        ((404, b"no", None), sums(RUNC), "404"),
        ((200, b"<html>sign in</html>", None), sums(RUNC), "sha256"),
        ((200, RUNC, None), (200, b"<html>sign in</html>", None), "names no sha256"),
    ],
    ids=["wrong-hash", "truncated", "not-found", "html", "html-digest"],
)
def test_a_bad_release_is_refused(
    mirror: tuple[str, dict], tmp_path: Path, answer: tuple, digest: tuple, message: str
) -> None:
    base, files = mirror
    files[PREFIX + "runc.amd64"], files[PREFIX + "runc.sha256sum"] = answer, digest
    with pytest.raises(ReleaseError, match=message):
        download_tool(TOOLS["runc"], "amd64", tmp_path, base)
    assert list(tmp_path.iterdir()) == []


def test_members_are_taken_from_an_archive(mirror: tuple[str, dict], tmp_path: Path) -> None:
    base, files = mirror
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("registry")
        info.size = len(RUNC)
        archive.addfile(info, io.BytesIO(RUNC))
    body = packed.getvalue()
    path = "/github.com/distribution/distribution/releases/download/v3.1.2/registry_3.1.2_linux_amd64.tar.gz"
    files[path] = (200, body, None)
    name = path.rsplit("/", 1)[-1]
    files[f"{path}.sha256"] = (200, f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode(), None)
    download_tool(TOOLS["registry"], "amd64", tmp_path, base)
    assert (tmp_path / "registry").read_bytes() == RUNC


def test_without_a_usable_release_the_tool_is_built(cache: Path) -> None:
    program = ensure_tool("pause", QUIET, binaries="release")["pause"]
    assert subprocess.run([program, "--version"], capture_output=True, check=True).stdout
