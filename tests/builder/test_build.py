"""Builds by scripts in the place of buildctl: how their end is noticed, and what is left of them."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from runbook_lib.builder.build import build
from runbook_lib.builder.build_request import BuildRequest, BuildResult
from runbook_lib.builder.buildctl import Builder, client_version, version_in
from runbook_lib.builder.process import run
from runbook_lib.errors import (
    BinaryError,
    BuilderError,
    BuildFailedError,
    BuildTimeoutError,
    StepCancelledError,
    VersionSkewError,
)
from runbook_lib.progress import Event

DIGEST = f"sha256:{'ab' * 32}"
DONE = f"""printf '{{"containerimage.digest": "{DIGEST}"}}' > "$metadata"\n"""
HEAD = """#!/bin/sh
case "$*" in *debug*) echo '[{"id": "worker"}]'; exit ;; esac
echo start >> "$0.starts"
while [ $# -gt 0 ]; do [ "$1" = --metadata-file ] && metadata=$2; shift; done
"""
Script = Callable[[str], Builder]


@pytest.fixture(name="script")
def script_fixture(tmp_path: Path) -> Script:
    def written(text: str) -> Builder:
        path = tmp_path / "buildctl"
        path.write_text(HEAD + text)
        path.chmod(0o755)
        return Builder(path, "unix:///nowhere")

    return written


def request(folder: Path) -> BuildRequest:
    return BuildRequest(folder, folder / "Dockerfile", ("r.example/x:1",))


def built(
    builder: Builder,
    *,
    seconds: float = 20.0,
    stall: float = 8.0,
    cancel: threading.Event | None = None,
    sink: Callable[[Event], None] = lambda _: None,
) -> BuildResult:
    return build(
        builder,
        request(builder.buildctl.parent),
        sink=sink,
        build_timeout=seconds,
        stall_timeout=stall,
        cancel=cancel,
    )


def alive(pid_file: Path) -> bool:
    """Whether the process whose number is in the file still runs; a zombie does not."""
    try:
        return psutil.Process(int(pid_file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("start", ["sleep 60 & echo $! > $0.child", "setsid sleep 60 & echo $! > $0.child"])
def test_a_child_that_holds_the_stream_open_does_not_hold_the_build(script: Script, start: str) -> None:
    builder = script(f"{start}\nsleep 0.7\n{DONE}")
    begun = time.monotonic()
    assert built(builder).digest == DIGEST
    assert time.monotonic() - begun < 5
    assert not alive(Path(f"{builder.buildctl}.child"))


def test_a_child_that_goes_on_writing_does_not_hold_the_build(script: Script) -> None:
    builder = script(f"(while :; do echo noise >&2; sleep 0.1; done) & echo $! > $0.child\n{DONE}")
    begun = time.monotonic()
    assert built(builder).digest == DIGEST
    assert time.monotonic() - begun < 5
    assert not alive(Path(f"{builder.buildctl}.child"))


def test_the_last_lines_of_an_ended_program_are_read(script: Script) -> None:
    lines = "".join(f"line {n}\n" for n in range(30_000))
    builder = script("sleep 60 & cat $0.txt >&2; printf 'error: the end' >&2; exit 1\n")
    Path(f"{builder.buildctl}.txt").write_text(lines)
    with pytest.raises(BuildFailedError, match="the build failed: the end"):
        built(builder)


@pytest.mark.parametrize("closing", ["exec 2>&-", "exec 2>&- >&-"])
def test_a_closed_stream_does_not_stop_the_clock(script: Script, closing: str) -> None:
    builder = script(f"{closing}; sleep 30\n")
    begun = time.monotonic()
    with pytest.raises(BuildTimeoutError, match="not done after 1 s"):
        built(builder, seconds=1)
    assert time.monotonic() - begun < 4


def test_a_closed_stream_does_not_keep_from_cancelling(script: Script) -> None:
    cancel = threading.Event()
    timer = threading.Timer(1.0, cancel.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(StepCancelledError):
        built(script("exec 2>&-; sleep 30\n"), cancel=cancel)
    timer.join()
    assert time.monotonic() - begun < 4


def test_a_program_that_ends_after_closing_its_stream_is_waited_for(script: Script) -> None:
    assert built(script(f"exec 2>&-; sleep 0.8; {DONE}")).digest == DIGEST


def test_nothing_of_a_build_is_left_when_more_is_told_than_is_read(script: Script) -> None:
    before, children = threading.active_count(), psutil.Process().children(recursive=True)
    with pytest.raises(BuildTimeoutError, match="not done after 1 s"):
        built(script("yes >&2\n"), seconds=1, sink=lambda _: time.sleep(1))
    assert threading.active_count() == before
    assert set(psutil.Process().children(recursive=True)) <= set(children)


# -- what cannot begin, and what answers oddly -------------------------------------------------------
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_without_a_temporary_folder_the_build_says_so(
    script: Script, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number), "/tmp/buildkit-runbook-x")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(BuilderError, match=os.strerror(number)) as caught:
        built(script(DONE))
    assert caught.value.where == "/tmp/buildkit-runbook-x"
    assert "TMPDIR" in caught.value.remedy


def test_without_any_place_for_temporary_files_the_build_says_so(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = script(DONE)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    with pytest.raises(BuilderError, match="No usable temporary directory"):
        built(builder)


@pytest.mark.parametrize("version", ["v0.34.2", "0.34.2"])
def test_a_version_without_its_v_is_the_same_version(script: Script, version: str) -> None:
    builder = script("")
    banner = f"buildctl github.com/moby/buildkit {version} 0123abc"
    info = f'{{"buildkitVersion": {{"version": "{version}"}}}}'
    builder.buildctl.write_text(f"""#!/bin/sh\n[ "$1" = --version ] && echo '{banner}' || echo '{info}'\n""")
    assert client_version(builder.buildctl) == "v0.34.2"
    assert builder.daemon_version() == "v0.34.2"


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("buildkitd github.com/moby/buildkit 0.34.2 abc", "v0.34.2"),
        ("buildctl github.com/moby/buildkit v0.35.0-rc1-12-gabc.m abc", "v0.35.0-rc1-12-gabc.m"),
        ("buildctl github.com/moby/buildkit 0.0.0+unknown", "v0.0.0+unknown"),
        ("buildctl github.com/moby/buildkit v0/../../x abc", ""),
        ("buildctl github.com/moby/buildkit", ""),
        ("kubectl github.com/moby/buildkit v0.34.2 abc", ""),
    ],
)
def test_a_banner_is_read_or_tells_nothing(banner: str, version: str) -> None:
    assert version_in(banner.encode() + b"\n") == version


@pytest.mark.parametrize("answer", ["{}", "[]", "null", '{"buildkitVersion": null}', '"v1"'])
def test_a_daemon_that_names_no_version_is_told(script: Script, answer: str) -> None:
    builder = script("")
    builder.buildctl.write_text(f"#!/bin/sh\necho '{answer}'\n")
    with pytest.raises(VersionSkewError, match="names no version"):
        builder.daemon_version()


def test_a_question_is_answered_though_a_child_holds_its_streams(tmp_path: Path) -> None:
    command = f"echo out; echo err >&2; sleep 60 & echo $! > {tmp_path}/child; exit 3"
    begun = time.monotonic()
    done = run(["/bin/sh", "-c", command], dict(os.environ), 20)
    assert (done.code, done.stdout, done.stderr) == (3, b"out\n", "err\n")
    assert time.monotonic() - begun < 5
    assert not alive(tmp_path / "child")


def test_a_question_that_is_not_answered_ends_in_time(tmp_path: Path) -> None:
    command = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    begun = time.monotonic()
    with pytest.raises(BinaryError, match=r"has not answered in 0\.3 s"):
        run(["/bin/sh", "-c", command], dict(os.environ), 0.3)
    assert time.monotonic() - begun < 3
    assert not alive(tmp_path / "child")
