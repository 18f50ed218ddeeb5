"""kubectl's release binary: one file and its published sha256, from dl.k8s.io or a mirror."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from runbook_lib.builder import platforms
from runbook_lib.builder.fetch import SHA256, download
from runbook_lib.builder.store import Fetched, Store
from runbook_lib.builder.web import get_small, refuse_unprotected
from runbook_lib.errors import BinaryError, ChecksumError
from runbook_lib.progress import Sink
from runbook_lib.settings import Settings

RELEASES = "https://dl.k8s.io/release"


def target(settings: Settings, store: Store, version: str) -> Path:
    """Where the fetched kubectl belongs."""
    return store.path("kubectl", version, platform_of(settings), platforms.this_machine())


def platform_of(settings: Settings) -> str:
    """The platform that binaries are fetched for: the parameter, else this machine's."""
    return settings.client_platform or platforms.this_machine()


def url_of(settings: Settings, version: str) -> str:
    """Address of the release binary.

    Raises:
        DownloadError: it is a mirror that speaks plain http, and kubectl_sha256 is not given.
    """
    url = _address(settings, version)
    if not settings.kubectl_sha256:
        refuse_unprotected(url)
    return url


def _address(settings: Settings, version: str) -> str:
    platform = platform_of(settings)
    ending = ".exe" if platform.startswith("windows/") else ""
    return f"{(settings.kubectl_url or RELEASES).rstrip('/')}/{version}/bin/{platform}/kubectl{ending}"


def wanted(settings: Settings, server: str) -> str:
    """The release to fetch: as the settings say, else the server's."""
    return settings.kubectl_version or release_of(server)


def release_of(server: str) -> str:
    """The upstream release of a server version: v1.37.2-eks-1 and v1.37.2+k3s1 are v1.37.2."""
    match = re.match(r"v\d+\.\d+\.\d+", server)
    if match is None:
        raise BinaryError(
            f"the server's version {server!r} names no Kubernetes release",
            where="kubectl",
            remedy="give kubectl, or kubectl_version",
        )
    return match[0]


def lines_of(settings: Settings, store: Store, version: str) -> tuple[str, ...]:
    """The shell lines with which a person fetches and checks the release binary."""
    address, place = _address(settings, version), target(settings, store, version)
    url, name = shlex.quote(address), shlex.quote(str(place))
    published = f"$(curl -fsSL {url}.sha256)"
    held = f"{name} | sha256sum --check && chmod +x {name}"
    check = f'echo "{settings.kubectl_sha256 or published}  "{held}'
    if not settings.kubectl_sha256 and urlsplit(address).scheme != "https":
        # What a plain http mirror publishes is no check: the shell stops here until a person gives one.
        check = f'echo "${{KUBECTL_SHA256:?set it, from a place that you trust}}  "{held}'
    return f"mkdir -p {shlex.quote(str(place.parent))}", f"curl -fLo {name} {url}", check


def _first_sha256(published: bytes, url: str) -> str:
    words = published.decode(errors="replace").split()
    if not words or not SHA256.fullmatch(words[0]):
        raise ChecksumError(
            "what is published there is no sha256", where=f"{url}.sha256", remedy="give kubectl_sha256"
        )
    return words[0]


def fetch(settings: Settings, store: Store, version: str, folder: Path, sink: Sink) -> Fetched:
    """Download kubectl into the store; the caller holds the store's lock and gives a temporary folder.

    Raises:
        DownloadError, ChecksumError: see `fetch.download`; BinaryError: it is for another platform.
    """
    url = url_of(settings, version)
    expected, checked = settings.kubectl_sha256, "kubectl_sha256"
    if not expected:
        published = get_small(url + ".sha256")
        expected = _first_sha256(published, url) if published is not None else ""
        checked = "the published .sha256"
    waiting = store.downloads() / f"kubectl-{version}-{platform_of(settings).replace('/', '-')}"
    got = download(url, waiting, sha256=expected, checked=checked, sink=sink)
    with waiting.open("rb") as f:
        found = platforms.of_header(f.read(platforms.HEADER))
    if found != platforms.base(platform_of(settings)):
        waiting.unlink()
        raise BinaryError(
            f"the file is for {found or 'no known platform'}", where=url, remedy="check kubectl_url"
        )
    place = target(settings, store, version)
    binary = waiting.replace(folder / place.name)
    record = Fetched(str(place), version, platform_of(settings), got.sha256, "release", got.checked, url)
    return store.put(binary, record)
