"""Official release downloads, each checked against the sha256 that its project publishes beside it.

Address forms were taken from the projects' release pages; `SANDBOX_RELEASE_BASE` sends every download to one
mirror instead (`<base>/<host>/<path>`). BuildKit publishes no digest file with its releases, so it is not in
the table and is always built; neither are `pause` (ours) and programs without a release for this platform.
"""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from sandbox.build.tools import Tool
from sandbox.errors import ReleaseError

_TIMEOUT = httpx.Timeout(30.0, read=60.0)
_LARGEST = 512 * 1024**2
_SHA256 = re.compile(r"\b[0-9a-fA-F]{64}\b")
_GITHUB = "https://github.com"


@dataclass(frozen=True)
class Asset:
    """A published file: its address, the address of its digest, and the programs in it.

    `members` maps a program's name to its path in the archive; empty when the file is the program itself,
    named by `program`. Addresses hold the fields {version}, {number} (without the v) and {arch}.
    """

    url: str
    digest_url: str
    members: dict[str, str] = field(default_factory=dict)
    program: str = ""


def _kubernetes(name: str) -> Asset:
    url = "https://dl.k8s.io/release/{version}/bin/linux/{arch}/" + name
    return Asset(url, url + ".sha256", program=name)


def _tar(repository: str, file: str, digest: str, members: dict[str, str]) -> Asset:
    base = f"{_GITHUB}/{repository}/releases/download/{{version}}/"
    return Asset(base + file, base + digest.replace("*", file), members)


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
_RUNC = f"{_GITHUB}/opencontainers/runc/releases/download/{{version}}/"
ASSETS: dict[str, tuple[Asset, ...]] = {
    "kubernetes": tuple(map(_kubernetes, _KUBERNETES)),
    "etcd": (
        _tar(
            "etcd-io/etcd",
            "etcd-{version}-linux-{arch}.tar.gz",
            "SHA256SUMS",
            {"etcd": "etcd-{version}-linux-{arch}/etcd"},
        ),
    ),
    "containerd": (
        _tar(
            "containerd/containerd",
            "containerd-{number}-linux-{arch}.tar.gz",
            "*.sha256sum",
            {name: f"bin/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        ),
    ),
    "registry": (
        _tar(
            "distribution/distribution",
            "registry_{number}_linux_{arch}.tar.gz",
            "*.sha256",
            {"registry": "registry"},
        ),
    ),
    "runc": (Asset(_RUNC + "runc.{arch}", _RUNC + "runc.sha256sum", program="runc"),),
    "cni": (
        _tar(
            "containernetworking/plugins",
            "cni-plugins-linux-{arch}-{version}.tgz",
            "*.sha256",
            {name: f"./{name}" for name in ("bridge", "loopback", "host-local", "portmap")},
        ),
    ),
}


def download_tool(tool: Tool, arch: str, target: Path, base: str | None = None) -> str:
    """Fetch the release of `tool` into the folder `target` and return the address of its last file.

    `base` (or `SANDBOX_RELEASE_BASE`) replaces every scheme and host by one mirror. Raises ReleaseError when
    there is no release, a download fails, or a file does not match its published digest.
    """
    assets = ASSETS.get(tool.name)
    if not assets:
        raise ReleaseError(
            "no official release with a published digest is known", tool.name, "It is built instead."
        )
    mirror = base or os.environ.get("SANDBOX_RELEASE_BASE") or None
    fields = {"version": tool.version, "number": tool.version.removeprefix("v"), "arch": arch}
    url = ""
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
        for asset in assets:
            url = _through(mirror, asset.url.format(**fields))
            digest = _published_digest(client, _through(mirror, asset.digest_url.format(**fields)), url)
            file = target / f".download-{asset.program or tool.name}"
            try:
                _download(client, url, file, digest)
                _install(asset, file, target, fields)
            finally:
                file.unlink(missing_ok=True)
    return url


def _through(mirror: str | None, url: str) -> str:
    if mirror is None:
        return url
    parts = urlsplit(url)
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}"


def _stream(client: httpx.Client, url: str) -> Iterator[bytes]:
    """The body of a 200 answer; raises ReleaseError for anything else."""
    try:
        with client.stream("GET", url) as response:
            if response.status_code != 200:
                raise ReleaseError(f"the server answered {response.status_code}", url, "Check the address.")
            yield from response.iter_bytes()
    except httpx.HTTPError as error:
        raise ReleaseError(
            f"the download failed ({type(error).__name__}: {error})", url, "Check the network and proxies."
        ) from error


def _published_digest(client: httpx.Client, url: str, asset_url: str) -> str:
    """The sha256 for an asset in a digest file: a bare one, or the line that names the asset."""
    text = b"".join(_stream(client, url))[:100_000].decode("utf-8", "replace")
    name = asset_url.rsplit("/", 1)[-1]
    lines = [line for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.split()[-1].lstrip("*").rsplit("/", 1)[-1] == name]
    chosen = named or (lines if len(lines) == 1 and len(lines[0].split()) == 1 else [])
    match = _SHA256.search(chosen[0]) if chosen else None
    if match is None:
        raise ReleaseError("the digest file names no sha256 for the asset", f"{url} ({name})", "Check it.")
    return match.group().lower()


def _download(client: httpx.Client, url: str, file: Path, expected: str) -> None:
    digest, size = hashlib.sha256(), 0
    with file.open("wb") as stream:
        for chunk in _stream(client, url):
            size += len(chunk)
            if size > _LARGEST:
                raise ReleaseError("the download is larger than any release", url, "Check the address.")
            digest.update(chunk)
            stream.write(chunk)
    if digest.hexdigest() != expected:
        what = f"the download's sha256 is {digest.hexdigest()}, published is {expected}"
        raise ReleaseError(what, url, "Do not use it: try again, or let the sandbox build it.")


def _install(asset: Asset, file: Path, target: Path, fields: dict[str, str]) -> None:
    if not asset.members:
        file.chmod(0o755)
        file.rename(target / asset.program)
        return
    try:
        with tarfile.open(file) as archive:
            for name, member in asset.members.items():
                source = archive.extractfile(member.format(**fields))
                if source is None:
                    raise ReleaseError("the archive's member is no file", f"{file}: {member}", "Check it.")
                (target / name).write_bytes(source.read())
                (target / name).chmod(0o755)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ReleaseError(
            f"the archive cannot be read ({error})", str(file), "Check the address."
        ) from error
