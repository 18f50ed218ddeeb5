"""buildctl and kubectl from every source, on a real builder: what comes, what is refused, what is left."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from builder_world import World, bare_world_fixture, world_fixture  # noqa: F401 - fixtures
from mirror import Mirror, running

from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import exec_in_pod
from runbook_lib.errors import BinaryError, ChecksumError, SourceError
from runbook_lib.findings import Status
from runbook_lib.plan import Action
from runbook_lib.steps.fetch_buildctl import FetchBuildctl
from sandbox.build import ensure_tool

VERSION = "v0.34.2"
IN_POD = "/usr/bin/buildctl"


def sha256_of(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def elf(machine: int) -> bytes:
    """The beginning of a Linux binary for another machine (e_machine of the ELF specification)."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(50_000)


ARM64 = elf(183)


def tarball(*members: tuple[str, bytes, bytes]) -> bytes:
    """A .tar.gz of (name, body, type); links lead to /etc/passwd."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, body, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            info.size = len(body) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


@pytest.fixture(scope="module")
def buildctl() -> Path:
    return ensure_tool("buildkit")["buildctl"]


@pytest.fixture(scope="module")
def release(buildctl: Path) -> bytes:
    """A tarball laid out as BuildKit's releases are, with the sandbox's buildctl in it."""
    return tarball(
        ("bin/buildkitd", b"daemon", tarfile.REGTYPE),
        ("bin/buildctl", buildctl.read_bytes(), tarfile.REGTYPE),
    )


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with running() as one:
        yield one


@pytest.fixture
def bins(tmp_path: Path) -> Path:
    return tmp_path / "bin"


def left_in(folder: Path) -> list[str]:
    """The files below a bin folder, without its lock."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


# -- out of the pod -------------------------------------------------------------------------------
def test_a_large_output_comes_whole_and_quickly(world: World, buildctl: Path) -> None:
    cluster = Cluster.bind(world.settings())
    for _ in range(3):
        # 10 s is generous: the copy takes 0.4 s. What is tested is that no byte is missing at the end.
        done = exec_in_pod(cluster, "buildkitd", ["cat", IN_POD], 10)
        assert done.code == 0
        assert len(done.stdout) == buildctl.stat().st_size
    assert hashlib.sha256(done.stdout).hexdigest() == sha256_of(buildctl)


def test_from_the_pod_byte_by_byte_then_nothing_then_again_when_altered(
    world: World, bins: Path, buildctl: Path
) -> None:
    step = world.step(FetchBuildctl, bin_dir=str(bins))
    assert step.check().passed
    [change] = [c for c in step.plan().changes if c.action is Action.FETCH]
    assert VERSION in change.subject
    assert left_in(bins) == []
    assert "sha256 computed in the pod" in str(step.apply())
    fetched = bins / VERSION / "buildctl"
    assert sha256_of(fetched) == sha256_of(buildctl)
    assert left_in(bins) == [f"{VERSION}/buildctl", f"{VERSION}/buildctl.json"]
    assert step.verify().worst is Status.OK
    before = fetched.stat().st_mtime_ns
    assert step.plan().is_empty
    assert "nothing was fetched" in str(step.apply())
    assert fetched.stat().st_mtime_ns == before
    with fetched.open("r+b") as f:
        f.seek(1_000_000)
        f.write(b"altered")
    assert not step.plan().is_empty
    assert f"fetched {VERSION}" in str(step.apply())
    assert sha256_of(fetched) == sha256_of(buildctl)


def test_another_version_than_the_pods_is_not_taken_from_it(world: World, bins: Path) -> None:
    step = world.step(FetchBuildctl, bin_dir=str(bins), buildctl_version="v0.33.0", buildctl_sources=["pod"])
    with pytest.raises(SourceError, match=f"the pod's buildctl is {VERSION}") as caught:
        step.apply()
    assert caught.value.remedy
    assert left_in(bins) == []


# -- PATH and parameters ----------------------------------------------------------------------------
def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_binary_on_path_is_used_as_it_is(
    world: World, bins: Path, buildctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "buildctl").symlink_to(buildctl)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=os.pathsep)
    step = world.step(FetchBuildctl, bin_dir=str(bins), buildctl_sources=["path"])
    step.apply()
    assert step.journal.look_up("buildctl_path") == str(tmp_path / "tools" / "buildctl")
    assert step.verify().passed
    assert not bins.exists()


def test_another_version_on_path_is_passed_over_with_its_reason(
    world: World, bins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "tools" / "buildctl", "echo buildctl github.com/moby/buildkit v0.12.5 abc")
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=os.pathsep)
    with pytest.raises(SourceError, match=r"is v0\.12\.5, not v0\.34\.2"):
        world.step(FetchBuildctl, bin_dir=str(bins), buildctl_sources=["path"]).apply()
    world.step(FetchBuildctl, bin_dir=str(bins), buildctl_sources=["path", "pod"]).apply()
    assert (bins / VERSION / "buildctl").is_file()


def test_version_skew_is_explained(world: World, buildctl: Path, tmp_path: Path) -> None:
    older = script(
        tmp_path / "buildctl",
        f'[ "$1" = --version ] && echo "buildctl github.com/moby/buildkit v0.33.0 a" || exec {buildctl} "$@"',
    )
    step = world.step(FetchBuildctl, buildctl=str(older))
    step.apply()
    [finding] = [f for f in step.verify() if f.status is Status.WARN]
    assert finding.subject == f"buildctl v0.33.0 and daemon {VERSION}"
    assert "newer options may be unknown" in finding.message
    assert "buildctl_sources" in finding.remedy


@pytest.mark.parametrize("parameter", ["buildctl", "kubectl"])
def test_a_parameter_that_names_no_program_is_named(world: World, tmp_path: Path, parameter: str) -> None:
    (tmp_path / "not-executable").write_text("")
    with pytest.raises(BinaryError, match="no executable file") as caught:
        world.step(FetchBuildctl, **{parameter: str(tmp_path / "not-executable")}).apply()
    assert parameter in caught.value.remedy


# -- a local tarball --------------------------------------------------------------------------------
def test_from_a_tarball_on_this_machine(world: World, bins: Path, release: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "release.tar.gz"
    archive.write_bytes(release)
    given = {"bin_dir": str(bins), "buildctl_sources": ["file"], "buildctl_archive": str(archive)}
    step = world.step(FetchBuildctl, buildctl_sha256=sha256_of(archive), **given)
    assert "held against buildctl_sha256" in str(step.apply())
    assert step.verify().passed
    assert "nothing was fetched" in str(world.step(FetchBuildctl, **given).apply())
    shutil.rmtree(bins)
    with pytest.raises(SourceError, match="expected 0000"):
        world.step(FetchBuildctl, buildctl_sha256="0" * 64, **given).apply()
    assert not bins.exists() or left_in(bins) == []


REFUSED = {
    "climbing path": (tarball(("bin/../../buildctl", b"x", tarfile.REGTYPE)), "unsafe name"),
    "absolute path": (tarball(("/bin/buildctl", b"x", tarfile.REGTYPE)), "unsafe name"),
    "symlink": (tarball(("bin/buildctl", b"", tarfile.SYMTYPE)), "not a regular file"),
    "hard link": (tarball(("bin/buildctl", b"", tarfile.LNKTYPE)), "not a regular file"),
    "device": (tarball(("bin/buildctl", b"", tarfile.CHRTYPE)), "not a regular file"),
    "fifo": (tarball(("bin/buildctl", b"", tarfile.FIFOTYPE)), "not a regular file"),
    "without it": (tarball(("bin/other", b"x", tarfile.REGTYPE)), "no member"),
    "truncated": (tarball(("bin/buildctl", os.urandom(9000), tarfile.REGTYPE))[:-3000], "not a whole"),
    "HTML": (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
    "not a binary": (tarball(("bin/buildctl", b"#!/bin/sh\n" * 9, tarfile.REGTYPE)), "no known platform"),
    "another platform": (tarball(("bin/buildctl", ARM64, tarfile.REGTYPE)), "for linux/arm64"),
}


@pytest.mark.parametrize("source", ["file", "release"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing_behind(
    world: World, bins: Path, mirror: Mirror, tmp_path: Path, case: str, source: str
) -> None:
    body, said = REFUSED[case]
    (tmp_path / "a.tar.gz").write_bytes(body)
    mirror.files[f"/{VERSION}/buildkit-{VERSION}.linux-amd64.tar.gz"] = body
    step = world.step(
        FetchBuildctl,
        bin_dir=str(bins),
        buildctl_sources=[source],
        buildctl_archive=str(tmp_path / "a.tar.gz"),
        buildctl_url=mirror.url,
        buildctl_sha256=hashlib.sha256(body).hexdigest(),
    )
    with pytest.raises(SourceError, match=said) as caught:
        step.apply()
    assert caught.value.remedy
    assert left_in(bins) == []


# -- the release ------------------------------------------------------------------------------------
def test_a_release_is_resumed_and_checked(
    world: World, bins: Path, mirror: Mirror, release: bytes, buildctl: Path
) -> None:
    path = f"/{VERSION}/buildkit-{VERSION}.linux-amd64.tar.gz"
    mirror.files[path] = release
    given = {"bin_dir": str(bins), "buildctl_sources": ["release"], "buildctl_url": mirror.url}
    with pytest.raises(SourceError, match="plain http without an expected sha256"):
        world.step(FetchBuildctl, **given).apply()
    with pytest.raises(SourceError, match="expected 0000"):
        world.step(FetchBuildctl, buildctl_sha256="0" * 64, **given).apply()
    assert left_in(bins) == []
    mirror.cuts, mirror.asked = 1, []
    step = world.step(FetchBuildctl, buildctl_sha256=hashlib.sha256(release).hexdigest(), **given)
    step.apply()
    assert mirror.asked == [(path, ""), (path, f"bytes={len(release) // 2}-")]
    assert sha256_of(bins / VERSION / "buildctl") == sha256_of(buildctl)
    assert left_in(bins) == [f"{VERSION}/buildctl", f"{VERSION}/buildctl.json"]
    assert any(e.total == len(release) for e in world.events)
    assert step.plan().is_empty


def statement(subject: dict[str, object]) -> bytes:
    kinds = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
    }
    return json.dumps({**kinds, "subject": [subject]}).encode()


def test_https_takes_the_sha256_from_the_releases_provenance(
    world: World, bins: Path, tmp_path: Path, release: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    name = f"buildkit-{VERSION}.linux-amd64"
    subject = {"name": f"{name}.tar.gz", "digest": {"sha256": "0" * 64}}
    with running(authority.issue_cert("127.0.0.1")) as mirror:
        mirror.files[f"/{VERSION}/{name}.tar.gz"] = release
        given = {"bin_dir": str(bins), "buildctl_sources": ["release"], "buildctl_url": mirror.url}
        mirror.files[f"/{VERSION}/{name}.provenance.json"] = b"{}"
        with pytest.raises(SourceError, match="not an in-toto statement"):
            world.step(FetchBuildctl, **given).apply()
        mirror.files[f"/{VERSION}/{name}.provenance.json"] = statement(subject)
        with pytest.raises(SourceError, match="expected 0000"):
            world.step(FetchBuildctl, **given).apply()
        subject["digest"] = {"sha256": hashlib.sha256(release).hexdigest()}
        mirror.files[f"/{VERSION}/{name}.provenance.json"] = statement(subject)
        assert left_in(bins) == []
        assert "provenance statement" in str(world.step(FetchBuildctl, **given).apply())


def test_for_another_platform_it_is_fetched_and_not_run(world: World, bins: Path, mirror: Mirror) -> None:
    body = tarball(("bin/buildctl", ARM64, tarfile.REGTYPE))
    mirror.files["/v0.33.0/buildkit-v0.33.0.linux-arm64.tar.gz"] = body
    mirror.files["/v1.37.2/bin/linux/arm64/kubectl"] = ARM64
    step = world.step(
        FetchBuildctl,
        bin_dir=str(bins),
        kubectl="",
        client_platform="linux/arm64",
        buildctl_version="v0.33.0",
        kubectl_version="v1.37.2",
        buildctl_url=mirror.url,
        kubectl_url=mirror.url,
        buildctl_sha256=hashlib.sha256(body).hexdigest(),
        kubectl_sha256=hashlib.sha256(ARM64).hexdigest(),
    )
    step.apply()
    assert (bins / "v0.33.0-linux-arm64" / "buildctl").read_bytes() == ARM64
    assert (bins / "v1.37.2-linux-arm64" / "kubectl").read_bytes() == ARM64
    assert "not run here" in str(step.verify())
    (bins / "v0.33.0-linux-arm64" / "buildctl").write_bytes(b"altered")
    assert not step.verify().passed


# -- kubectl ----------------------------------------------------------------------------------------
def test_kubectl_comes_from_path(
    world: World, bins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kubectl").symlink_to(world.sandbox["kubectl"])
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    step = world.step(FetchBuildctl, bin_dir=str(bins), kubectl="")
    step.apply()
    assert step.journal.look_up("kubectl_path") == str(tools / "kubectl")
    assert step.verify().passed


def test_kubectl_of_another_name_works_through_a_link(world: World, bins: Path, tmp_path: Path) -> None:
    odd = script(tmp_path / "kubectl-1.37", f'exec {world.sandbox["kubectl"]} "$@"')
    step = world.step(FetchBuildctl, bin_dir=str(bins), kubectl=str(odd))
    step.apply()
    assert step.verify().passed


def test_kubectl_is_fetched_from_a_mirror_and_held_against_its_sha256(
    world: World, bins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    path = "/v1.37.2/bin/linux/amd64/kubectl"
    given = {"bin_dir": str(bins), "kubectl": ""}
    with running(authority.issue_cert("127.0.0.1")) as mirror:
        mirror.files |= {path: ARM64, f"{path}.sha256": b"0" * 64}
        with pytest.raises(ChecksumError, match="expected 0000"):
            world.step(FetchBuildctl, kubectl_url=mirror.url, **given).apply()
        for published in (b"", b"<html>404</html>", b"\xff" * 64, b"0" * 63, b"kubectl " + b"0" * 64):
            mirror.files[f"{path}.sha256"] = published
            with pytest.raises(ChecksumError, match="no sha256"):
                world.step(FetchBuildctl, kubectl_url=mirror.url, **given).apply()
        mirror.files[f"{path}.sha256"] = hashlib.sha256(ARM64).hexdigest().encode()
        with pytest.raises(BinaryError, match="for linux/arm64"):
            world.step(FetchBuildctl, kubectl_url=mirror.url, **given).apply()
        assert left_in(bins) == []
        binary = Path(world.sandbox["kubectl"])
        mirror.files |= {path: binary, f"{path}.sha256": sha256_of(binary).encode() + b"  kubectl\n"}
        step = world.step(FetchBuildctl, kubectl_url=mirror.url, **given)
        assert "the published .sha256" in str(step.apply())
        asked = len(mirror.asked)
        assert step.verify().passed
        assert step.plan().is_empty
        step.apply()
        assert len(mirror.asked) == asked
