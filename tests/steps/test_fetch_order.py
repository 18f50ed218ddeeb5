"""Which source buildctl comes from when one breaks off: the next is tried, and the reader is told."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.builder import sources
from runbook_lib.errors import SourceError
from runbook_lib.progress import Event
from runbook_lib.settings_sources import load
from runbook_lib.steps import fetch_buildctl
from runbook_lib.steps.fetch_buildctl import FetchBuildctl

VERSION = "v0.34.2"
# For another machine than any that tests run on, so that it is not run: s390x of the ELF specification.
BINARY = b"\x7fELF\x02\x02\x01" + bytes(9) + struct.pack(">HH", 2, 22) + bytes(50_000)


class Pod:
    """Has buildctl; the programs in `broken` end in a stream that breaks."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken

    def run(self, command: list[str], timeout: float) -> tuple[int, bytes, bytes]:
        assert timeout > 0
        if command[0] in self.broken:
            raise SourceError("the connection broke", where="pod buildkitd")
        answers = {
            "head": BINARY[:64],
            sources.IN_POD: f"buildctl github.com/moby/buildkit {VERSION} abc\n".encode(),
            "sha256sum": hashlib.sha256(BINARY).hexdigest().encode() + b"  buildctl\n",
            "stat": str(len(BINARY)).encode(),
        }
        return 0, answers.get(command[0], BINARY), b""


def archive(folder: Path) -> Path:
    """A release tarball with BINARY in it."""
    info = tarfile.TarInfo(sources.MEMBER)
    info.size = len(BINARY)
    with tarfile.open(folder / "release.tar.gz", "w:gz") as tar:
        tar.addfile(info, io.BytesIO(BINARY))
    return folder / "release.tar.gz"


def bring(
    folder: Path, pod: Pod, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> tuple[Path, str, list[Event]]:
    """The path of buildctl, what is said of it, and the events; nothing else of the step is done."""
    events: list[Event] = []
    values = {"bin_dir": str(folder / "bin"), "run_dir": str(folder / "run"), **given}
    settings = load({"client_platform": "linux/s390x", **values}, environ={})
    step = FetchBuildctl(settings, sink=events.append)
    request = sources.Request(settings, step.store, VERSION, "linux/s390x", "buildkitd", pod.run, "kubectl")
    monkeypatch.setattr(FetchBuildctl, "cluster", None)
    monkeypatch.setattr(fetch_buildctl, "builder_pod", lambda *_: "buildkitd")
    monkeypatch.setattr(step, "_request", lambda _: request)
    path, finding = step._bring_buildctl([])
    return path, finding.message, events


def test_a_stream_that_breaks_is_begun_again_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, message, _ = bring(tmp_path, Pod("cat"), monkeypatch, {})
    assert path.read_bytes() == BINARY
    assert message == f"fetched {VERSION} from pod buildkitd"


@pytest.mark.parametrize("broken", [("cat", "stat"), ("cat", "dd")])
def test_a_pod_that_gives_nothing_is_passed_over_and_the_reader_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...]
) -> None:
    given = {"buildctl_sources": ["pod", "file"], "buildctl_archive": str(archive(tmp_path))}
    path, message, events = bring(tmp_path, Pod(*broken), monkeypatch, given)
    assert path.read_bytes() == BINARY
    assert "; pod refused: the co" in message
    assert any(e.message.startswith("nothing comes from pod buildkitd: the co") for e in events)


def test_when_all_fail_each_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"buildctl_sources": ["pod", "file"]}
    with pytest.raises(SourceError, match=r"pod: the connection broke; file: the parameter") as caught:
        bring(tmp_path, Pod("cat", "stat"), monkeypatch, given)
    assert caught.value.remedy


def test_a_folder_that_cannot_be_written_is_no_fault_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").write_text("a file")
    given = {"buildctl_sources": ["pod", "file"], "buildctl_archive": str(archive(tmp_path))}
    with pytest.raises(SourceError, match="cannot be written") as caught:
        bring(tmp_path, Pod(), monkeypatch, given)
    assert caught.value.where == str(tmp_path / "bin")
