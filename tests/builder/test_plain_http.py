"""A mirror that speaks plain http vouches for nothing: only a sha256 given as a parameter is believed."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.builder import kubectl_release
from runbook_lib.builder.buildctl_release import expected_sha256, release_url
from runbook_lib.builder.sources import Request, offer
from runbook_lib.builder.store import Store
from runbook_lib.builder.web import get_small
from runbook_lib.errors import ChecksumError, DownloadError, SourceError
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load

from .hostile import Hostile, serve

VERSION, PLATFORM = "v0.34.2", "linux/s390x"  # a platform on which nothing is run here
BINARY = b"\x7fELF\x02\x02\x01" + bytes(9) + struct.pack(">HH", 2, 22) + b"evil"
SAID = "plain http without an expected sha256"


def tarball() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("bin/buildctl")
        info.size = len(BINARY)
        tar.addfile(info, io.BytesIO(BINARY))
    return out.getvalue()


TARBALL = tarball()


@pytest.fixture(name="mirror")
def mirror_fixture() -> Iterator[Hostile]:
    """Over plain http: both programs, and beside each what tells its sha256, as the projects publish it."""
    with serve() as server:
        archive = f"/{VERSION}/buildkit-{VERSION}.linux-s390x.tar.gz"
        subject = {
            "name": archive.rpartition("/")[2],
            "digest": {"sha256": hashlib.sha256(TARBALL).hexdigest()},
        }
        kinds = {
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://slsa.dev/provenance/v1",
        }
        kubectl = f"/v1.37.2/bin/{PLATFORM}/kubectl"
        server.bodies = {
            archive: TARBALL,
            archive.replace(".tar.gz", ".provenance.json"): json.dumps(
                {**kinds, "subject": [subject]}
            ).encode(),
            kubectl: BINARY,
            f"{kubectl}.sha256": hashlib.sha256(BINARY).hexdigest().encode(),
        }
        yield server


def settings_for(mirror: Hostile, folder: Path, **more: Any) -> Settings:  # noqa: ANN401
    given = {
        "bin_dir": str(folder / "bin"),
        "client_platform": PLATFORM,
        "buildctl_sources": ["release"],
        "buildctl_url": mirror.url,
        "kubectl_url": mirror.url,
    }
    return load({**given, **more}, environ={})


def request_of(settings: Settings) -> Request:
    return Request(
        settings, Store(settings), VERSION, PLATFORM, "buildkitd", None, "kubectl exec buildkitd --"
    )


def test_a_statement_that_comes_by_plain_http_is_not_asked_for(mirror: Hostile) -> None:
    url = release_url(mirror.url, VERSION, PLATFORM)
    with pytest.raises(DownloadError, match=SAID) as caught:
        expected_sha256("", url)
    assert "buildctl_sha256" in caught.value.remedy
    with pytest.raises(DownloadError, match=SAID):
        get_small(mirror.url + "/any")
    with pytest.raises(DownloadError, match="not an address"):
        get_small("https://[::1/any")
    assert mirror.asked == []


def test_buildctl_is_neither_offered_nor_printed_without_a_sha256(mirror: Hostile, tmp_path: Path) -> None:
    refused: dict[str, str] = {}
    with pytest.raises(SourceError, match=SAID) as caught:
        offer(request_of(settings_for(mirror, tmp_path)), refused)
    assert "buildctl_sha256" in caught.value.remedy
    assert list(refused) == ["release"]
    assert mirror.asked == []


def test_buildctl_comes_with_a_sha256_given_and_is_held_against_it(mirror: Hostile, tmp_path: Path) -> None:
    for sha256 in ("0" * 64, hashlib.sha256(TARBALL).hexdigest()):
        request = request_of(settings_for(mirror, tmp_path, buildctl_sha256=sha256))
        _, found = offer(request, {})
        assert any(sha256 in line and "sha256sum --check" in line for line in found.commands)
        assert found.deliver is not None
        with request.store.locked() as folder:
            if sha256.startswith("0000"):
                with pytest.raises(ChecksumError, match="expected 0000"):
                    found.deliver(folder, silent_sink)
                assert not request.target.exists()
                continue
            assert found.deliver(folder, silent_sink).checked == "buildctl_sha256"
    assert request.target.read_bytes() == BINARY
    assert not [path for path in mirror.asked if path.endswith(".json")]
    without = request_of(settings_for(mirror, tmp_path))
    assert offer(without, {})[1].present, "what is in the store needs no download"


def test_kubectl_needs_a_sha256_as_well(mirror: Hostile, tmp_path: Path) -> None:
    settings = settings_for(mirror, tmp_path)
    store = Store(settings)
    with store.locked() as folder, pytest.raises(DownloadError, match=SAID) as caught:
        kubectl_release.fetch(settings, store, "v1.37.2", folder, silent_sink)
    assert "kubectl_sha256" in caught.value.remedy
    with pytest.raises(DownloadError, match=SAID):
        kubectl_release.url_of(settings, "v1.37.2")
    assert mirror.asked == []
    given = settings_for(mirror, tmp_path, kubectl_sha256=hashlib.sha256(BINARY).hexdigest())
    with store.locked() as folder:
        record = kubectl_release.fetch(given, store, "v1.37.2", folder, silent_sink)
    assert record.checked == "kubectl_sha256"
    assert not [path for path in mirror.asked if path.endswith(".sha256")]


def test_the_lines_for_a_person_stop_where_nothing_vouches(mirror: Hostile, tmp_path: Path) -> None:
    settings = settings_for(mirror, tmp_path)
    *_, check = kubectl_release.lines_of(settings, Store(settings), "v1.37.2")
    assert ".sha256" not in check
    done = subprocess.run(["bash", "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "KUBECTL_SHA256: set it" in done.stderr
    mirror.url = mirror.url.replace("http:", "https:")
    *_, check = kubectl_release.lines_of(settings_for(mirror, tmp_path), Store(settings), "v1.37.2")
    assert "kubectl.sha256)" in check
